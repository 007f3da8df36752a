"""`fashion data push`: the data into a DVC remote of any kind, compared and read back by content."""

import shutil
from pathlib import Path

import pytest

from components.common.errors import DataError, StorageError
from components.common.files import data_version
from components.ingest.s3 import fetch_version
from pipeline.data.push import push
from tests.support.project import Project
from tests.support.s3_server import NO_KEYS, S3Server, set_environment

pytest_plugins = ("tests.support.s3_server",)


@pytest.fixture
def project(fresh_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return fresh_project


def test_what_is_not_the_data_of_data_dvc_is_not_pushed(project: Project, tmp_path: Path, subset: Path):
    with pytest.raises(DataError, match="DVC has no default remote"):
        push(project.root, "", print)
    remote = tmp_path / "remote"
    project.run("dvc", "remote", "add", "--quiet", "disk", str(remote))
    with pytest.raises(DataError, match="'nowhere' doesn't exist"):
        push(project.root, "nowhere", print)

    shutil.copy(project.root / "params.yaml", project.root / "data" / "t10k-labels-idx1-ubyte")
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte has SHA-256"):
        push(project.root, "disk", print)
    assert not remote.exists()

    shutil.rmtree(project.root / "data")  # the cache has it
    push(project.root, "disk", print)
    fetch_version(tmp_path / "data", data_version(subset), str(remote))
    assert data_version(tmp_path / "data") == data_version(subset)


def test_folder_as_remote_is_mended(project: Project, tmp_path: Path, subset: Path):
    """DVC itself trusts an object there that is read-only."""
    remote, version = tmp_path / "remote", data_version(subset)
    project.run("dvc", "remote", "add", "--quiet", "--default", "disk", str(remote))
    project.run("dvc", "push", "--quiet", "data.dvc")
    objects = sorted(path for path in remote.rglob("*") if path.is_file())
    assert len(objects) == 5
    for path in objects[:2]:
        path.chmod(0o644)
        path.write_bytes(b"other")
        path.chmod(0o444)
    lines: list[str] = []
    push(project.root, "", lines.append)
    assert [line.partition(": ")[2].partition(",")[0] for line in sorted(lines)].count("is there") == 3
    fetch_version(tmp_path / "data", version, str(remote))
    shutil.rmtree(project.root / "data")
    shutil.rmtree(project.root / ".dvc" / "cache")
    project.run("dvc", "pull", "--quiet", "data.dvc")  # what we sent is DVC's
    assert data_version(project.root / "data") == version


def test_bucket_that_is_not_there_and_keys_that_are_not(project: Project, s3: S3Server, bucket: str):
    project.run("dvc", "remote", "add", "--quiet", "other", "s3://fashion-nowhere/dvc")
    project.run("dvc", "remote", "add", "--quiet", "ours", f"s3://{bucket}/dvc")
    with pytest.raises(StorageError, match="cannot use s3://fashion-nowhere/dvc: there is no such bucket"):
        push(project.root, "other", print)
    with set_environment(NO_KEYS), pytest.raises(StorageError, match="there are no credentials"):
        push(project.root, "ours", print)
