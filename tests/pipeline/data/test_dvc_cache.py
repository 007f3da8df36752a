"""DVC's cache and remote as sources of `fashion data`."""

import shutil
from pathlib import Path

import pytest

from components.common.files import data_version, file_digest
from tests.support.data_files import LABELS, flip, mixed_files
from tests.support.project import new_project


def test_a_configured_dvc_remote_is_used_and_its_corruption_is_noticed(tmp_path: Path, subset: Path):
    project = new_project(tmp_path / "project", subset)
    remote = tmp_path / "remote"
    project.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    project.run("dvc", "push", "--quiet", "data.dvc")

    def lose_data() -> None:
        shutil.rmtree(project.root / "data")
        shutil.rmtree(project.root / ".dvc" / "cache")

    lose_data()
    project.fashion("data")
    assert data_version(project.root / "data") == data_version(subset)

    flip(project.root / "data" / LABELS)  # the cache has it
    project.fashion("data", "--replace")
    assert data_version(project.root / "data") == data_version(subset)

    lose_data()
    digest = file_digest(subset / LABELS, "md5")
    stored = remote / "files" / "md5" / digest[:2] / digest[2:]
    stored.chmod(0o644)
    flip(stored)
    refused = project.fashion("data", code=4)
    assert LABELS in refused.stderr
    assert not (project.root / "data").exists()

    project.fashion("data", "--from", str(mixed_files(subset, tmp_path / "mixed")))
    assert data_version(project.root / "data") == data_version(subset)
    assert project.git("status", "--porcelain", "data.dvc") == ""


@pytest.mark.slow
def test_a_damaged_file_is_replaced_by_content_from_cache_or_remote(subset: Path, tmp_path: Path):
    project = new_project(tmp_path / "project", subset)
    remote = tmp_path / "remote"
    listing = project.run("git", "show", "HEAD:data.dvc").stdout.partition("md5: ")[2].split()[0]
    digest = file_digest(subset / LABELS, "md5")
    damaged = project.root / "data" / LABELS
    cache = project.root / ".dvc" / "cache" / "files" / "md5"

    def stored(folder: Path, name: str) -> Path:
        return folder / name[:2] / name[2:]

    def spoil(path: Path) -> None:
        path.chmod(0o644)
        flip(path)

    def replace(code: int = 0) -> str:
        result = project.fashion("data", "--replace", code=code)
        if not code:
            assert data_version(project.root / "data") == data_version(subset)
            for path in (path for path in cache.rglob("*") if path.is_file()):
                assert file_digest(path, "md5") == (path.parent.name + path.name).removesuffix(".dir")
        return result.stdout + result.stderr

    # From the cache, and not through the link into the cache that `data/` is.
    project.run("dvc", "config", "--local", "cache.type", "hardlink,symlink")
    flip(damaged)
    replace()

    # A damaged object of the cache is named, and nothing is lost; the link leads to it.
    project.run("dvc", "checkout", "--relink", "data.dvc")
    assert damaged.stat().st_nlink == 2
    spoil(damaged)
    changed = damaged.read_bytes()
    refused = replace(code=4)
    assert f"{LABELS}: the cache has a damaged copy, no remote is configured" in refused
    assert damaged.read_bytes() == changed == stored(cache, digest).read_bytes()

    # With a whole copy in the remote, the cache is whole again, too: a file of it, and its listing.
    shutil.copytree(cache, remote / "files" / "md5")
    shutil.copyfile(subset / LABELS, stored(remote / "files" / "md5", digest))
    project.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    spoil(stored(cache, listing))
    replace()

    # One that is found damaged while `data/` is whole.
    spoil(stored(cache, listing))
    replace()
    assert project.run("dvc", "data", "status", "--json").stdout.strip() == "{}"
