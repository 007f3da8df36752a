"""`infra/image/build`: what the image is called, and how the builders are called."""

import re
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.image_build import LOCKS, Builders, build, git, tag
from tests.support.project import ROOT

pytest_plugins = ("tests.support.image_build",)


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
        clean, code = tag(repository), repository / "pipeline/cli/main.py"
        original = code.read_text()
        code.write_text(original + "# one\n")
        one = tag(repository)
        code.write_text(original + "# two\n")
        two = tag(repository)
        assert re.fullmatch(clean + "-dirty-[0-9a-f]{8}", one)
        assert re.fullmatch(clean + "-dirty-[0-9a-f]{8}", two)
        assert one != two
        assert tag(repository, "gpu") == f"{two}-gpu"
        git(repository, "add", "pipeline/cli/main.py")
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
        (repository / "pipeline/cli/main.py").unlink()
        assert tag(repository).startswith(f"{clean}-dirty-")

    def test_needs_a_commit_of_this_project(self, repository: Path) -> None:
        shutil.rmtree(repository / ".git")
        result = build(repository, "tag", "cpu")
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("error: this folder is no git repository with the project in it")
        git(repository, "init", "--quiet")
        git(repository, "commit", "--quiet", "--allow-empty", "--message", "someone else's")
        assert build(repository, "tag", "cpu").returncode == 1


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
        result = build(repository, "cpu", **builders.variables, EDIT=str(repository / "pipeline/cli/main.py"))
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


def locked_tensorflow(target: str) -> str:
    """The version in a lock."""
    found = re.findall(
        r"(?m)^tensorflow(?:-cpu)?==([\d.]+)", (ROOT / f"requirements/{target}.txt").read_text()
    )
    assert len(set(found)) == 1
    return str(found[0])
