"""`make setup`: a stale `.venv` is made anew, and the user's pip and uv decide nothing but the way there."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.json_server import Call, JsonServer, RefusalError, serving
from tests.support.project import ROOT

FILES = ("pyproject.toml", "requirements/uv.txt", "requirements/cpu.txt", "requirements/gpu.txt")
NETWORK = {"PIP_CERT": "/etc/ca.pem", "PIP_TIMEOUT": "3"}
HOSTILE = {
    "PIP_USER": "1",
    "PIP_TARGET": "/nowhere/target",
    "PIP_REQUIRE_HASHES": "1",
    "PIP_DRY_RUN": "1",
    "PIP_QUIET": "3",
    "PIP_PYTHON": "/nowhere/python",
    "UV_SYSTEM_PYTHON": "1",
    "UV_EXCLUDE_NEWER": "2001-01-01",
    "UV_NO_BINARY": "1",
    "UV_CONSTRAINT": "/nowhere/constraint.txt",
    "PYTHONPATH": "/nowhere",
    "PYTHONHOME": "/nowhere",
    "VIRTUAL_ENV": "/nowhere",
    "GIT_DIR": "/nowhere",
}
PIP_CONF = """\
[global]
index-url = https://index.example.org/simple
trusted-host =
    one.example.org
    two.example.org
quiet = 1
[install]
user = true
prefix = /nowhere/prefix
constraint = /nowhere/constraint.txt
no-binary = :all:
"""


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, for a small folder of its own whose `.venv` is finished."""
    return load(tmp_path / "project", monkeypatch, make=True)


def load(root: Path, monkeypatch: pytest.MonkeyPatch, make: bool = False) -> Any:
    spec = importlib.util.spec_from_file_location("setup_script", ROOT / "infra" / "setup.py")
    assert spec
    assert spec.loader
    script: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    if make:
        for name in (*FILES, "infra/setup.py"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
        origin(root).parent.mkdir(parents=True)
        origin(root).write_text(json.dumps({"url": root.as_uri()}))
    monkeypatch.setattr(script, "ROOT", root)
    monkeypatch.setattr(script, "VENV", root / ".venv")
    monkeypatch.setattr(script, "MADE_FROM", root / ".venv" / "made-from.json")
    if make:
        script.MADE_FROM.write_text(json.dumps(script.made_from("cpu")))
    return script


def origin(root: Path) -> Path:
    return root / ".venv/lib/python3.11/site-packages/fashion_pipeline-0.1.0.dist-info/direct_url.json"


def test_what_is_unchanged_is_not_made_anew(setup: Any):
    os.utime(setup.ROOT / "requirements/cpu.txt")
    assert setup.changes("cpu") == []


def test_a_copied_folder_is_set_up_anew(setup: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    copied = shutil.copytree(setup.ROOT, tmp_path / "copied")
    assert load(copied, monkeypatch).changes("cpu") == ["folder"]


def older_lock(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script.ROOT / "requirements/cpu.txt"
    path.write_text("older")
    os.utime(path, (0, 0))


def upgraded_python(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version", "3.12.99")


def moved_python(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/opt/another")


def another_checkout(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    origin(script.ROOT).write_text('{"url": "file:///another/checkout"}')


def uninstalled(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(origin(script.ROOT).parent)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (older_lock, "requirements/cpu.txt"),
        (upgraded_python, "python"),
        (moved_python, "python"),
        (another_checkout, "project"),
        (uninstalled, "project"),
    ],
)
def test_a_stale_venv_is_noticed(
    setup: Any,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any, pytest.MonkeyPatch], None],
    named: str,
):
    change(setup, monkeypatch)
    assert setup.changes("cpu") == [named]


def test_the_other_tensorflow_and_an_interrupted_set_up_are_made_anew(setup: Any):
    assert setup.changes("gpu") == ["requirements/gpu.txt", "requirements/cpu.txt"]
    setup.MADE_FROM.unlink()
    assert "folder" in setup.changes("cpu")


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment and pip.conf of a user who installs otherwise."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    (tmp_path / "pip.conf").write_text(PIP_CONF)
    settings = (
        HOSTILE | NETWORK | {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "UV_INDEX_URL": "https://u"}
    )
    for name in ("PYTHONHOME", "PIP_PYTHON"):
        settings.pop(name)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("hostile")
def test_of_the_users_pip_and_uv_the_way_to_the_index_is_kept_and_nothing_else(setup: Any):
    environment = setup.clean_environment()
    assert {n: v for n, v in environment.items() if n.startswith(("PIP_", "UV_", "PYTHON", "VIRTUAL_"))} == {
        "PIP_CONFIG_FILE": os.devnull,
        "UV_NO_CONFIG": "1",
        "UV_INDEX_URL": "https://u",
    }
    settings = setup.pip_settings(sys.executable)  # with those of /etc/pip.conf
    assert (
        settings.items()
        >= {
            "PIP_INDEX_URL": "https://index.example.org/simple",
            "PIP_TRUSTED_HOST": "\none.example.org\ntwo.example.org",
            **NETWORK,
        }.items()
    )
    assert not settings.keys() & {*HOSTILE, "PIP_PREFIX", "PIP_CONSTRAINT", "PIP_NO_BINARY"}


@pytest.mark.usefixtures("hostile")
def test_pip_installs_with_these_settings_where_the_users_own_fail(setup: Any, tmp_path: Path):
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
        archive.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny-1.dist-info/RECORD", "")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", str(wheel)]

    assert not setup.run(command, dict(os.environ))
    assert setup.run(command, setup.clean_environment() | setup.pip_settings(sys.executable))


def test_uv_asks_the_index_that_pip_is_configured_for(setup: Any, monkeypatch: pytest.MonkeyPatch):
    class Index(JsonServer):
        def respond(self, call: Call) -> Any:
            raise RefusalError(404, "no such package")

    uv = str(Path(sys.executable).with_name("uv"))
    with serving(Index()) as index:
        for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple")
        environment = setup.clean_environment() | setup.pip_settings(sys.executable)
        command = [uv, "pip", "install", "--quiet", "--dry-run", "--no-cache", "--python", sys.executable]

        assert not setup.run([*command, "fashion-is-no-package"], environment)

        assert [call.path for call in index.calls] == ["/simple/fashion-is-no-package/"]
    monkeypatch.setenv("UV_INDEX_URL", "https://u")
    assert "UV_DEFAULT_INDEX" not in setup.pip_settings(sys.executable)


@pytest.mark.parametrize("content", ["[]", "no JSON", "{}"])
def test_a_record_that_is_none_is_made_anew(setup: Any, content: str):
    setup.MADE_FROM.write_text(content)
    assert "folder" in setup.changes("cpu")


def test_a_package_that_got_lost_is_noticed_and_one_more_is_welcome(setup: Any):
    record = json.loads(setup.MADE_FROM.read_text())
    setup.MADE_FROM.write_text(json.dumps(record | {"packages": [*setup.packages(), "click-8.1"]}))
    assert setup.changes("cpu") == ["click-8.1"]
    for name in ("click-8.1", "jupyter-1"):
        (origin(setup.ROOT).parents[1] / f"{name}.dist-info").mkdir()
    assert setup.changes("cpu") == []


@pytest.mark.parametrize(
    ("kind", "folder", "said"), [("tpu", "a", "TENSORFLOW is tpu"), ("cpu", "a:b", "has a colon")]
)
def test_what_cannot_be_set_up_is_said_before_anything_is_made(
    tmp_path: Path, kind: str, folder: str, said: str
):
    script = tmp_path / folder / "infra" / "setup.py"
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "infra" / "setup.py", script)
    result = subprocess.run([sys.executable, script, kind], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert os.listdir(tmp_path / folder) == ["infra"]  # noqa: PTH208
