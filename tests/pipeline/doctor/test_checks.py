"""`fashion doctor`: each thing that a run on a cluster needs, there or not."""

from pathlib import Path

import pytest

from components.common.errors import redacted
from components.common.s3 import s3_client
from pipeline.doctor.checks import Target, findings
from pipeline.doctor.finding import Finding
from tests.support.json_server import Fault
from tests.support.kfp_server import KfpServer
from tests.support.mlflow_server import Server
from tests.support.project import Project, environment_of
from tests.support.s3_server import S3Server

pytest_plugins = ("tests.support.s3_server", "tests.support.kfp_fixtures")
pytestmark = pytest.mark.usefixtures("bare_environment")


def look(root: Path, host: str = "", image: str = "") -> dict[str, Finding]:
    return {finding.name: finding for finding in findings(Target(root, host, "", None, image))}


@pytest.fixture
def root(fresh_project: Project) -> Path:
    return fresh_project.root


def test_all_that_is_missing_is_said_with_what_to_do(root: Path):
    found = look(root, image="fashion-pipeline:latest")

    assert {name: finding.ok for name, finding in found.items()} == {
        "data": True,
        "DVC remote": False,
        "bucket": False,
        "MLflow": False,
        "KFP": False,
        "pods' keys": True,
        "image": False,
    }
    assert all(finding.hint for finding in found.values() if not finding.ok)
    assert not found["pods' keys"].tested


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
    assert "fashion data push" in found["DVC remote"].hint

    project.fashion("data", "push")
    s3_client().put_object(Bucket=bucket, Key=keys[0], Body=b"other")
    found = look(root, server.url, image)
    assert [name for name, finding in found.items() if not finding.ok] == ["DVC remote"]
    assert f"is corrupt in the DVC remote: s3://{bucket}/{keys[0]}" in found["DVC remote"].text
    project.fashion("data", "push")
    assert [f for f in look(root, server.url, image).values() if not f.ok] == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (None, "answers 404, but not as MLflow does"),  # KFP
        (Fault("search", 200, "<html>", "text/html"), "answers 200, but not as MLflow does"),
        (Fault("search", 401, "You are not authenticated."), "answers 401"),
        (Fault("search", 403, "Invalid Host header"), "answers 403"),
    ],
)
def test_address_that_answers_is_not_yet_mlflow(
    root: Path, server: KfpServer, fault: Fault | None, words: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    server.faults = [fault] if fault else []
    found = look(root)["MLflow"]
    assert (found.ok, words in found.text, bool(found.hint)) == (False, True, True)


def test_mlflow_is_asked_with_the_credentials(root: Path, server: KfpServer, monkeypatch: pytest.MonkeyPatch):
    for name, value in (("URI", server.url), ("USERNAME", "me"), ("PASSWORD", "pass")):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    server.faults = [Fault("search", 200, '{"experiments": []}')]
    assert look(root)["MLflow"].ok
    assert server.calls_of("GET", "experiments/search")[0].headers["authorization"] == "Basic bWU6cGFzcw=="


def test_no_password_is_printed(root: Path, server: KfpServer, monkeypatch: pytest.MonkeyPatch):
    host = server.url.replace("://", "://bob:s3@cret@")
    assert redacted(host) == server.url
    monkeypatch.setenv("KFP_HOST", host)
    assert look(root)["KFP"].text == f"{server.url} answers, runs go to the namespace kubeflow"


def test_fault_that_nobody_foresaw_is_a_finding(root: Path):
    (root / "data.dvc").write_text("outs: 3")
    found = look(root)
    assert not found["data"].ok
    assert found["data"].hint
    assert "image" in found  # the checks went on
