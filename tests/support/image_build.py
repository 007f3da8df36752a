"""A repository to build the image of, and programs that stand for its builders."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.project import ROOT

LOCKS = ("requirements/cpu.txt", "requirements/gpu.txt", "requirements/uv.txt")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A committed copy of what the image is made of, and of a file that has no part in it."""
    root = tmp_path / "repository"
    names = ["infra/image/build", "infra/image/Dockerfile", ".dockerignore", ".gitignore", "README.md"]
    for name in [*names, "params.yaml", "pyproject.toml", "pipeline/cli/main.py", *LOCKS]:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "code")
    return root


def git(root: Path, *arguments: str) -> str:
    """Runs git."""
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def build(root: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs infra/image/build there, from elsewhere."""
    base = {name: value for name, value in os.environ.items() if name not in {"PIP_CERT", "SSL_CERT_FILE"}}
    base["GIT_CEILING_DIRECTORIES"] = str(root.parent)
    return subprocess.run(
        [root / "infra/image/build", *arguments],
        cwd="/",
        env=base | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def tag(root: Path, target: str = "cpu") -> str:
    """What the image of the tree would be called, without its name."""
    result = build(root, "tag", target)
    assert result.returncode == 0, result.stderr
    name, _, tag = result.stdout.strip().partition(":")
    assert name == "fashion-pipeline"
    return tag


STAND_IN = """#!{python}
import json, os, pathlib, sys
log = pathlib.Path(os.environ["LOG"])
log.open("a").write(json.dumps(sys.argv) + "\\n")
arguments = dict(zip(sys.argv, sys.argv[1:]))
if "info" in sys.argv and pathlib.Path(sys.argv[0]).name in os.environ["BROKEN"].split():
    sys.exit(1)
if "--output" in arguments:
    pathlib.Path(arguments["--output"].partition("dest=")[2], "python-version").write_text("3.12.1\\n")
if "--iidfile" in arguments:
    pathlib.Path(arguments["--iidfile"]).write_text("sha256:0123")
    if os.environ.get("EDIT"):
        pathlib.Path(os.environ["EDIT"]).open("a").write("# later")
if "images" in sys.argv and "MISSING" not in os.environ:
    print("2.33GB")
files = [arguments["-o"]] if "-o" in arguments else []
files += [argument.split(":")[1] for argument in sys.argv if argument.startswith("docker-archive:")]
for file in files:
    pathlib.Path(file).open("x").write("half of the archive")
if files and "FULL" in os.environ:
    sys.exit("no space left on device")
"""


class Builders:
    """Stand-ins for docker, podman and buildah that note how they were called."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.log = folder / "log"
        for name in ("docker", "podman", "buildah"):
            (folder / name).write_text(STAND_IN.format(python=sys.executable))
            (folder / name).chmod(0o755)
        self.variables = {"LOG": str(self.log), "PATH": f"{folder}:{os.environ['PATH']}", "BROKEN": ""}

    def calls(self) -> list[list[str]]:
        """Program and arguments of each call, but for those that look whether a program works."""
        calls = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [[Path(call[0]).name, *call[1:]] for call in calls if call[1] != "info"]


@pytest.fixture
def builders(tmp_path: Path) -> Builders:
    """Programs that build nothing."""
    return Builders(tmp_path / "bin")
