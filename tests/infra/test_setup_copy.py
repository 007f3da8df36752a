"""`make setup` in a folder and in a copy of it, with hostile settings of pip and uv."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.test_setup import FILES, HOSTILE
from tests.support.project import ROOT


def foreign_packages(folder: str, names: list[str]) -> list[str]:
    own = ("__editable__", "fashion_pipeline")
    return [n for n in names if not n.startswith(own)] if Path(folder).name == "site-packages" else []


@pytest.mark.slow
def test_a_copy_runs_its_own_code_whatever_the_user_has_configured(tmp_path: Path):
    original, copied = tmp_path / "it's the original", tmp_path / "a copy"
    own = ("fashion_pipeline.py", "components", "pipeline")
    for name in (*FILES, "Makefile", "README.md", "infra/setup.py", *own):
        (original / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, original / name)
    conf = tmp_path / "pip.conf"
    conf.write_text("[install]\nuser = true\nprefix = /nowhere\n")
    uv = tmp_path / "config" / "uv" / "uv.toml"
    uv.parent.mkdir(parents=True)
    uv.write_text('exclude-newer = "2001-01-01"\n')
    environment = os.environ | HOSTILE | {"PIP_CONFIG_FILE": str(conf), "XDG_CONFIG_HOME": str(uv.parents[1])}
    environment |= {"TENSORFLOW": "cpu", "PYTHON": getattr(sys, "_base_executable", sys.executable)}
    for name in ("HOME", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"):  # `make test-slow` is no make above these
        environment.pop(name, None)

    def make(folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["make", "setup"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
        )

    def said(process: subprocess.Popen[str]) -> str:
        output = process.communicate(timeout=900)[0]
        assert process.returncode == 0, output
        return output

    def help_of(folder: Path) -> str:
        command = [str(folder / ".venv" / "bin" / "fashion"), "--help"]
        own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=own)
        return shown.stdout

    first, second = make(original), make(original)
    outputs = [said(first), said(second)]
    assert sum("setting up .venv" in output for output in outputs) == 1
    assert said(make(original)) == ""

    # Of two gigabytes of packages only the link to the code.
    shutil.copytree(original, copied, symlinks=True, ignore=foreign_packages)
    cli = copied / "pipeline" / "cli" / "main.py"
    cli.write_text(cli.read_text().replace("Trains, judges", "Edited: trains, judges"))
    assert "anew; changed: folder" in said(make(copied))
    assert "Edited: trains" in help_of(copied)
    assert "Edited: trains" not in help_of(original)
    for folder in (original, copied):
        shutil.rmtree(folder / ".venv")
