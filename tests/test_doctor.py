"""`fashion doctor`: each thing that a run on a cluster needs, there or not."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from components.common.errors import redacted
from components.common.storage import s3_client
from pipeline.doctor import Finding, Target, findings
from pipeline.kubeflow import commands
from tests.conftest import Server
from tests.json_server import Fault
from tests.kfp_server import KfpServer
from tests.kube_server import KubeServer
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


def test_environment_of_the_steps(root: Path, kube: KubeServer):
    seen = look(root)["namespace"]
    assert (seen.ok, seen.text) == (False, "the namespace kubeflow lacks Secret fashion-storage")
    kube.faults = [Fault("secrets/fashion-storage", 200, "{}")]
    assert look(root)["namespace"].ok
    kube.faults = [Fault("secrets/fashion-storage", 403, "{}")]
    assert "namespace" not in look(root)
    kube.faults.append(Fault("configmaps/fashion-config", 404, "{}"))
    assert look(root)["namespace"].text == "the namespace kubeflow lacks ConfigMap fashion-config"


def test_image_for_the_gpus_and_the_code_at_hand(root: Path, monkeypatch: pytest.MonkeyPatch):
    version = {"mlflow.source.git.commit": "0123456789abcdef"}
    changed: list[str] = []
    monkeypatch.setattr("pipeline.kubeflow.settings.git_version", lambda: version)
    monkeypatch.setattr("pipeline.kubeflow.settings.is_changed", lambda *paths: bool({*paths} & {*changed}))
    monkeypatch.chdir(root)

    def line(command: click.Command, *arguments: str) -> str:
        lines = CliRunner().invoke(command, arguments).stdout.splitlines()
        return next(line for line in lines if line.startswith("image"))

    assert "ok  fashion-pipeline:0123456789ab-gpu " in line(commands.doctor)
    assert "ok  fashion-pipeline:0123456789ab " in line(commands.doctor, "--gpu", "0")
    changed.append("params.yaml")
    assert "ok  fashion-pipeline:0123456789ab " in line(commands.doctor, "--gpu", "0")
    changed.append("pipeline")
    assert "--  the code differs" in line(commands.doctor)
    assert "ok  other:1 " in line(commands.doctor, "--image", "other:1")
    monkeypatch.setenv("FASHION_IMAGE", "named:1")
    assert "ok  named:1 " in line(commands.doctor)
