"""Whether the ConfigMap and the Secret of the steps' pods exist, and whether the keys in them work."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from components.common.s3 import s3_client
from pipeline.doctor.checks import Target, findings
from pipeline.doctor.finding import Finding
from tests.support.json_server import Fault
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer
from tests.support.s3_server import Keys, set_environment

pytest_plugins = ("tests.support.s3_server", "tests.support.kfp_fixtures")
pytestmark = pytest.mark.usefixtures("bare_environment")


def look(root: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings(Target(root, "", "", None, ""))}


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


def test_environment_of_the_steps(tmp_path: Path, kube: KubeServer):
    seen = look(tmp_path)["namespace"]
    assert (seen.ok, seen.text) == (False, "the namespace kubeflow lacks Secret fashion-storage")
    kube.faults = [Fault("secrets/fashion-storage", 200, "{}")]
    assert look(tmp_path)["namespace"].ok
    kube.faults = [Fault("secrets/fashion-storage", 403, "{}")]
    assert "namespace" not in look(tmp_path)
    kube.faults.append(Fault("configmaps/fashion-config", 404, "{}"))
    assert look(tmp_path)["namespace"].text == "the namespace kubeflow lacks ConfigMap fashion-config"
