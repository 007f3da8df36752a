"""`fashion doctor`: each thing that a run on a cluster needs, there or not."""

from pathlib import Path

import pytest

from components.common.storage import s3_client
from pipeline.doctor import Finding, Target, findings
from tests.conftest import Server
from tests.kfp_server import KfpServer
from tests.project import Project, environment_of, new_project
from tests.servers import S3Server

pytest_plugins = ("tests.servers", "tests.kfp_fixtures")
pytestmark = pytest.mark.usefixtures("bare_environment")


def look(root: Path, host: str = "", image: str = "") -> dict[str, Finding]:
    return {finding.name: finding for finding in findings(Target(root, host, "", None, image))}


@pytest.fixture
def root(subset: Path, tmp_path: Path) -> Path:
    return new_project(tmp_path / "project", subset, git=False).root


def test_all_that_is_missing_is_said_with_what_to_do(root: Path):
    found = look(root, image="fashion-pipeline:latest")

    assert {name: finding.ok for name, finding in found.items()} == {
        "data": True,
        "DVC remote": False,
        "bucket": False,
        "MLflow": False,
        "KFP": False,
        "image": False,
    }
    assert all(finding.hint for finding in found.values() if not finding.ok)


def test_all_that_is_there_is_ok_until_an_object_is_gone(
    root: Path,
    s3: S3Server,
    bucket: str,
    mlflow_server: Server,
    server: KfpServer,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    monkeypatch.setenv("FASHION_STATE_URL", f"s3://{bucket}/state")
    project = Project(root, environment_of(root))
    project.run("dvc", "remote", "add", "--default", "storage", f"s3://{bucket}/dvc")
    project.run("dvc", "push", "--quiet", "data.dvc")
    image = "registry.example.org/fashion-pipeline:0123456789ab"

    assert [f for f in look(root, server.url, image).values() if not f.ok] == []

    keys = [o["Key"] for o in s3_client().list_objects_v2(Bucket=bucket, Prefix="dvc/")["Contents"]]
    s3_client().delete_object(Bucket=bucket, Key=next(key for key in keys if not key.endswith(".dir")))
    (root / "data" / "t10k-labels-idx1-ubyte").unlink()
    found = look(root, server.url, image)
    assert [name for name, finding in found.items() if not finding.ok] == ["data", "DVC remote"]
    assert "t10k-labels-idx1-ubyte is missing" in found["data"].text
    assert s3_client().list_objects_v2(Bucket=bucket, Prefix="state/")["KeyCount"] == 0  # the probe is gone
