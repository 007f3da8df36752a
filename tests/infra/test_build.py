"""`infra/image/build`: what the image is called, and how the builders are called."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.project import ROOT

LOCKS = ("requirements/cpu.txt", "requirements/gpu.txt", "requirements/uv.txt")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A committed copy of what the image is made of, and of a file that has no part in it."""
    root = tmp_path / "repository"
    names = ["infra/image/build", "infra/image/Dockerfile", ".dockerignore", ".gitignore", "README.md"]
    for name in [*names, "params.yaml", "pyproject.toml", "pipeline/cli.py", *LOCKS]:
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


class TestTag:
    def test_is_the_commit(self, repository: Path) -> None:
        short = git(repository, "rev-parse", "HEAD")[:12]
        assert tag(repository) == short
        assert tag(repository, "gpu") == f"{short}-gpu"

    def test_is_of_this_repository_in_another_ones_hook(self, repository: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        git(other, "init", "--quiet")
        git(other, "commit", "--quiet", "--allow-empty", "--message", "other")
        hook = {"GIT_DIR": str(other / ".git"), "GIT_INDEX_FILE": str(other / ".git/index")}
        assert build(repository, "tag", "cpu", **hook).stdout.strip() == f"fashion-pipeline:{tag(repository)}"

    def test_what_is_not_in_the_image_does_not_matter(self, repository: Path) -> None:
        clean = tag(repository)
        (repository / "README.md").write_text("other")
        (repository / "params.yaml").write_text("other")
        (repository / "notes.txt").write_text("mine")
        (repository / "pipeline/__pycache__").mkdir()
        (repository / "pipeline/__pycache__/cli.cpython-311.pyc").write_bytes(b"1")
        assert tag(repository) == clean

    def test_uncommitted_code_never_bears_it(self, repository: Path) -> None:
        """A digest tells one state of the code from another: a cluster keeps what it has under a tag."""
        clean, code = tag(repository), repository / "pipeline/cli.py"
        original = code.read_text()
        code.write_text(original + "# one\n")
        one = tag(repository)
        code.write_text(original + "# two\n")
        two = tag(repository)
        assert re.fullmatch(clean + "-dirty-[0-9a-f]{8}", one)
        assert re.fullmatch(clean + "-dirty-[0-9a-f]{8}", two)
        assert one != two
        assert tag(repository, "gpu") == f"{two}-gpu"
        git(repository, "add", "pipeline/cli.py")
        assert tag(repository) == two
        code.write_text(original + "# one\n")
        assert tag(repository) == one
        git(repository, "reset", "--quiet")
        code.write_text(original)
        assert tag(repository) == clean

    @pytest.mark.parametrize("name", ["pipeline/new.py", "infra/image/Dockerfile", ".dockerignore", *LOCKS])
    def test_each_part_counts(self, repository: Path, name: str) -> None:
        clean = tag(repository)
        with (repository / name).open("a") as file:
            file.write("# more\n")
        assert tag(repository).startswith(f"{clean}-dirty-")

    def test_a_deleted_file_counts(self, repository: Path) -> None:
        clean = tag(repository)
        (repository / "pipeline/cli.py").unlink()
        assert tag(repository).startswith(f"{clean}-dirty-")

    def test_needs_a_commit_of_this_project(self, repository: Path) -> None:
        shutil.rmtree(repository / ".git")
        result = build(repository, "tag", "cpu")
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("error: this folder is no git repository with the project in it")
        git(repository, "init", "--quiet")
        git(repository, "commit", "--quiet", "--allow-empty", "--message", "someone else's")
        assert build(repository, "tag", "cpu").returncode == 1


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


class TestBuild:
    def test_first_builder_that_works(self, repository: Path, builders: Builders) -> None:
        """A docker command whose server is down is passed over."""
        result = build(repository, "gpu", **builders.variables | {"BROKEN": "docker"})
        assert result.returncode == 0, result.stderr
        image = f"fashion-pipeline:{tag(repository)}-gpu"
        assert re.fullmatch(rf"{image}: 2\.33GB, built in \d+ s by podman\n", result.stdout)
        about, gpu, named, _ = builders.calls()
        assert about[:2] == gpu[:2] == ["podman", "build"]
        assert about[about.index("--target") + 1] == "about"
        assert gpu[gpu.index("--target") + 1] == "gpu"
        passed = [value for name, value in pairwise(gpu) if name == "--build-arg"]
        assert passed == [
            f"COMMIT={git(repository, 'rev-parse', 'HEAD')}",
            "VERSION=0.1.0",
            "PYTHON_VERSION=3.12.1",
            f"TENSORFLOW_VERSION={locked_tensorflow('gpu')}",
        ]
        assert "--secret" not in gpu
        assert named == ["podman", "tag", "sha256:0123", f"docker.io/library/{image}"]

    def test_variables(self, repository: Path, builders: Builders, tmp_path: Path) -> None:
        ca = tmp_path / "ca.pem"
        ca.write_text("certificate")
        variables = {
            "BASE": "base:1",
            "SSL_CERT_FILE": str(ca),
            "BUILDER": "buildah",
            "BUILD_FLAGS": "--network host",
        }
        assert build(repository, "cpu", **builders.variables | variables).returncode == 0
        for call in builders.calls()[:2]:
            text = " ".join(call)
            assert f"--secret id=ca,src={ca}" in text
            assert "--build-arg BASE=base:1" in text
            assert "--network host" in text
            assert call[0] == "buildah"
        assert f"TENSORFLOW_VERSION={locked_tensorflow('cpu')}" in builders.calls()[1]

    def test_code_that_changes_meanwhile_gets_no_tag(self, repository: Path, builders: Builders) -> None:
        result = build(repository, "cpu", **builders.variables, EDIT=str(repository / "pipeline/cli.py"))
        assert result.returncode == 1
        assert result.stderr.startswith("error: the code changed while its image was built")
        assert [call[1] for call in builders.calls()] == ["build", "build"]

    def test_faults(self, repository: Path, builders: Builders) -> None:
        down = build(repository, "cpu", **builders.variables | {"BROKEN": "docker podman buildah"})
        assert (down.returncode, down.stderr.splitlines()[0]) == (
            1,
            "error: no working docker, podman or buildah",
        )
        missing = build(repository, "cpu", **builders.variables, CA="/no/such/file")
        assert (missing.returncode, missing.stderr.splitlines()[0]) == (
            1,
            "error: no certificate at /no/such/file",
        )
        assert build(repository, "tpu").returncode == 1
        assert builders.calls() == []


class TestArchive:
    @pytest.mark.parametrize(
        ("tool", "call"),
        [
            ("docker", "save -o PARTIAL NAME"),
            ("podman", "save --format docker-archive -o PARTIAL NAME"),
            ("buildah", "push NAME docker-archive:PARTIAL:NAME"),
        ],
    )
    def test_of_each_builder(
        self, repository: Path, builders: Builders, tmp_path: Path, tool: str, call: str
    ) -> None:
        name = f"docker.io/library/fashion-pipeline:{tag(repository, 'gpu')}"
        file = tmp_path / "a:b" / "image.tar"
        file.parent.mkdir()
        file.write_text("of another day")
        (file.parent / "image.tar.partial").write_text("of a killed one")
        variables = builders.variables | {"BUILDER": tool}
        result = build(repository, "archive", "gpu", str(file), **variables)
        assert result.returncode == 0, result.stderr
        wanted = call.replace("PARTIAL", "image.tar.partial").replace("NAME", name)
        assert builders.calls()[-1] == [tool, *wanted.split()]
        assert list(file.parent.iterdir()) == [file]
        assert file.read_text() == "half of the archive"
        file.write_text("whole")
        assert build(repository, "archive", "gpu", str(file), **variables, FULL="1").returncode != 0
        assert [path.read_text() for path in file.parent.iterdir()] == ["whole"]

    def test_faults(self, repository: Path, builders: Builders, tmp_path: Path) -> None:
        missing = build(repository, "archive", "cpu", str(tmp_path / "f"), **builders.variables, MISSING="1")
        image = f"fashion-pipeline:{tag(repository)}"
        assert (missing.returncode, missing.stderr.splitlines()) == (
            1,
            [f"error: docker has no image {image}", "  build it: infra/image/build cpu"],
        )
        assert build(repository, "archive", "cpu").returncode == 1
        assert not (tmp_path / "f").exists()

    @pytest.mark.parametrize("tool", ["podman", "buildah"])
    def test_really_has_the_name_that_kubernetes_asks_for(
        self, repository: Path, tmp_path: Path, tool: str
    ) -> None:
        """A cluster's containerd looks for docker.io/library/NAME; podman's own begin with localhost/."""
        folder = tmp_path / "store"
        conf = tmp_path / "storage.conf"
        conf.write_text(f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/g"\nrunroot = "{folder}/r"\n')
        variables = {"CONTAINERS_STORAGE_CONF": str(conf), "BUILDER": tool}
        name = f"docker.io/library/fashion-pipeline:{tag(repository)}"
        (tmp_path / "Containerfile").write_text("FROM scratch\nCOPY storage.conf /\n")
        made = ["buildah", "bud", "--isolation", "chroot", "-q", "-t", name, str(tmp_path)]
        try:
            subprocess.run([tool, "info"], check=True, capture_output=True, env=os.environ | variables)
            subprocess.run(made, check=True, capture_output=True, env=os.environ | variables)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"{tool} or buildah does not work here: {error}")
        result = build(repository, "archive", "cpu", str(tmp_path / "image.tar"), **variables)
        assert result.returncode == 0, result.stderr
        with tarfile.open(tmp_path / "image.tar") as archive:
            manifest = archive.extractfile("manifest.json")
            assert manifest
            assert json.load(manifest)[0]["RepoTags"] == [name]


def locked_tensorflow(target: str) -> str:
    """The version in a lock."""
    found = re.findall(
        r"(?m)^tensorflow(?:-cpu)?==([\d.]+)", (ROOT / f"requirements/{target}.txt").read_text()
    )
    assert len(set(found)) == 1
    return str(found[0])
