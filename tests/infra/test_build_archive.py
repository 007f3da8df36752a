"""`infra/image/build archive`: the image as a file."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.image_build import Builders, build, tag

pytest_plugins = ("tests.support.image_build",)


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
