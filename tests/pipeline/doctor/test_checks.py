"""`fashion doctor`: each thing that a run on a cluster needs, there or not."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from components.common.errors import redacted
from components.common.s3 import s3_client
from pipeline.cli import doctor as commands
from pipeline.doctor.checks import Target, findings
from pipeline.doctor.finding import Finding
from tests.support.json_server import Fault
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer
from tests.support.mlflow_server import Server
from tests.support.project import Project, environment_of
from tests.support.s3_server import Keys, S3Server, set_environment

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


def test_environment_of_the_steps(root: Path, kube: KubeServer):
    seen = look(root)["namespace"]
    assert (seen.ok, seen.text) == (False, "the namespace kubeflow lacks Secret fashion-storage")
    kube.faults = [Fault("secrets/fashion-storage", 200, "{}")]
    assert look(root)["namespace"].ok
    kube.faults = [Fault("secrets/fashion-storage", 403, "{}")]
    assert "namespace" not in look(root)
    kube.faults.append(Fault("configmaps/fashion-config", 404, "{}"))
    assert look(root)["namespace"].text == "the namespace kubeflow lacks ConfigMap fashion-config"


@pytest.fixture
def cluster(kube: KubeServer, bucket: str, monkeypatch: pytest.MonkeyPatch) -> KubeServer:
    """Its ConfigMap and the environment name the bucket; the S3 server has another name inside."""
    kube.config = {
        "FASHION_STATE_URL": f"s3://{bucket}/state",
        "AWS_ENDPOINT_URL": "http://s3.fashion.svc.cluster.local:9000",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    monkeypatch.setenv("FASHION_STATE_URL", f"s3://{bucket}/state")
    return kube


def pods_keys(root: Path, cluster: KubeServer, secret: Mapping[str, str]) -> Finding:
    """What is found where the cluster's Secret holds this."""
    data = {name: base64.b64encode(value.encode()).decode() for name, value in secret.items()}
    cluster.faults = [Fault("secrets/fashion-storage", 200, json.dumps({"data": data}))]
    return look(root)["pods' keys"]


def test_keys_of_the_cluster_are_tried_and_not_those_of_the_environment(
    tmp_path: Path, cluster: KubeServer, user: Keys, bucket: str, monkeypatch: pytest.MonkeyPatch
):
    wrong = user | {"AWS_SECRET_ACCESS_KEY": "not-that-one"}
    with set_environment(user):
        found = pods_keys(tmp_path, cluster, wrong)
        assert look(tmp_path)["bucket"].ok
    assert not found.ok
    assert "the key of the cluster's fashion-storage" in found.text
    assert "SignatureDoesNotMatch" in found.text
    assert "kubectl -n kubeflow create secret generic fashion-storage" in found.hint
    assert "not-that-one" not in found.text + found.hint

    with set_environment(wrong):
        found = pods_keys(tmp_path, cluster, user)
        assert not look(tmp_path)["bucket"].ok
    assert (found.ok, found.tested, "can write and read" in found.text) == (True, True, True)
    monkeypatch.delenv("FASHION_STATE_URL")  # the ConfigMap's
    assert pods_keys(tmp_path, cluster, user).ok
    with set_environment(user):
        assert s3_client().list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (
            {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b\n"},
            "AWS_SECRET_ACCESS_KEY in the cluster's",
        ),
        ({"AWS_ACCESS_KEY_ID": "a"}, "lacks AWS_SECRET_ACCESS_KEY"),
        ({}, "lacks AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_secret_that_cannot_be_right(tmp_path: Path, cluster: KubeServer, secret: dict[str, str], words: str):
    found = pods_keys(tmp_path, cluster, secret)
    assert (found.ok, words in found.text, "kubectl" in found.hint) == (False, True, True)


def test_environment_that_is_not_that_of_the_pods(tmp_path: Path, cluster: KubeServer):
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert pods_keys(tmp_path, cluster, keys).ok
    for name, value, words in (
        ("FASHION_STATE_URL", "s3://other/state", "FASHION_STATE_URL is s3://"),
        ("AWS_ENDPOINT_URL", "", "the S3 server is http://127.0.0.1"),
    ):
        right, cluster.config[name] = cluster.config[name], value
        found = pods_keys(tmp_path, cluster, keys)
        assert (found.ok, found.text.startswith(words)) == (False, True)
        cluster.config[name] = right


def test_secret_that_may_not_be_read_is_said_to_be_untested(tmp_path: Path, cluster: KubeServer):
    cluster.faults = [Fault("secrets/fashion-storage", 403, "{}")]
    found = look(tmp_path)["pods' keys"]
    assert (found.ok, found.tested, "(403)" in found.text) == (True, False, True)


def test_mlflow_user_of_the_cluster(
    tmp_path: Path, cluster: KubeServer, server: KfpServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    keys |= {"MLFLOW_TRACKING_USERNAME": "pod", "MLFLOW_TRACKING_PASSWORD": "pass"}
    server.faults = [Fault("search", 200, '{"experiments": []}')]
    assert pods_keys(tmp_path, cluster, keys).ok
    assert server.calls_of("GET", "experiments/search")[-1].headers["authorization"] == "Basic cG9kOnBhc3M="
    server.faults = [Fault("search", 401, "who are you?")]
    found = pods_keys(tmp_path, cluster, keys)
    assert (found.ok, "the MLflow user of the cluster's" in found.text) == (False, True)


def test_image_for_the_gpus_and_the_code_at_hand(root: Path, monkeypatch: pytest.MonkeyPatch):
    version = {"mlflow.source.git.commit": "0123456789abcdef"}
    changed: list[str] = []
    monkeypatch.setattr("pipeline.kubeflow.definition.image.git_version", lambda: version)
    monkeypatch.setattr(
        "pipeline.kubeflow.definition.image.is_changed", lambda *paths: bool({*paths} & {*changed})
    )
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
