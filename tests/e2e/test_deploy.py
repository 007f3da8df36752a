"""`fashion submit --deploy` on a real cluster, while requests go on: see tests/e2e/test_pipeline.py."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from components.deploy.step import SERVED
from components.registry.registry import FILE_TAG
from tests.e2e.cluster import LOW, MODEL, NAMESPACE, NOW, QUICK, Cluster, eventually, kubectl
from tests.support.project import ROOT

pytest_plugins = ("tests.e2e.cluster",)
pytestmark = pytest.mark.e2e
CLIENTS = "default"
"""A namespace whose pods ask the server."""
RUNNER = f"system:serviceaccount:{NAMESPACE}:fashion-runner"
SECRET = {"secretRef": {"name": "fashion-storage"}}
FIRST = (*QUICK, *LOW, "--param", f"seed={NOW % 10**9 + 20}")
SECOND = (*FIRST, "--param", "epochs=3", "--deploy")


@pytest.fixture(scope="module")
def serving(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A champion that is served, by the manifests with this session's model."""
    assert cluster.submit(*FIRST).code == 0
    folder = tmp_path_factory.mktemp("manifests") / "serving"
    shutil.copytree(ROOT / "infra" / "kubernetes" / "serving", folder)
    settings = folder / "shared" / "settings.env"
    settings.write_text(settings.read_text().replace("model=fashion-mnist", f"model={MODEL}"))
    manifests = kubectl("kustomize", str(folder))
    manifests = manifests.replace("fashion-pipeline:unset", cluster.environment["FASHION_IMAGE"])
    manifests = manifests.replace("progressDeadlineSeconds: 300", "progressDeadlineSeconds: 120")
    kubectl("apply", "-f", "-", stdin=manifests)
    kubectl("label", "namespace", CLIENTS, "fashion-pipeline/serving-client=true", "--overwrite")
    try:
        kubectl("-n", "fashion", "rollout", "status", "deployment/serving", "--timeout", "5m")
        eventually("two pods", lambda: deployment()["status"].get("readyReplicas") == 2)
        yield
    finally:
        kubectl("delete", "-f", "-", stdin=manifests)
        kubectl("label", "namespace", CLIENTS, "fashion-pipeline/serving-client-")


class Load:
    """Four clients in a pod that send requests until they are told to stop."""

    def __init__(self, image: str) -> None:
        self.pod = f"load-{NOW}"
        program = (ROOT / "benchmarks" / "load.py").read_text()
        url = "http://serving.fashion.svc.cluster.local"
        container = {
            "name": "load",
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-c", program, url, "--until", "/tmp/stop"],
        }
        spec = {"restartPolicy": "Never", "containers": [container]}
        metadata = {"name": self.pod, "namespace": CLIENTS}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        kubectl("apply", "-f", "-", stdin=json.dumps(pod))
        kubectl("-n", CLIENTS, "wait", "--for=condition=Ready", f"pod/{self.pod}", "--timeout=120s")

    def stop(self) -> dict[str, Any]:
        """What came back."""
        kubectl("-n", CLIENTS, "exec", self.pod, "--", "touch", "/tmp/stop")
        phase = ("wait", "--for=jsonpath={.status.phase}=Succeeded", f"pod/{self.pod}", "--timeout=120s")
        kubectl("-n", CLIENTS, *phase)
        result: dict[str, Any] = json.loads(kubectl("-n", CLIENTS, "logs", self.pod))
        kubectl("-n", CLIENTS, "delete", "pod", self.pod)
        print(f"\nload: {result}", flush=True)
        return result


def deployment() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("-n", "fashion", "get", "deployment", "serving", "-o", "json"))
    return found


def served() -> str | None:
    version: str | None = deployment()["spec"]["template"]["metadata"].get("annotations", {}).get(SERVED)
    return version


def may(verb: str, what: str, namespace: str) -> bool:
    command = ["kubectl", "-n", namespace, "auth", "can-i", verb, what, "--as", RUNNER]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == "yes"


def test_the_run_may_change_this_one_deployment(serving: None):
    assert may("patch", "deployments/serving", "fashion")
    assert may("list", "pods", "fashion")
    refused = [("patch", "deployments/mlflow"), ("delete", "deployments/serving"), ("get", "secrets")]
    assert not [each for each in (*refused, ("create", "pods")) if may(*each, "fashion")]


@pytest.mark.parametrize(
    ("patch", "denied"),
    [
        ({"template": {"metadata": {"annotations": {SERVED: "1"}}}}, ""),
        ({"template": {"metadata": {"annotations": {SERVED: None}}}}, ""),
        ({"template": {"metadata": {"annotations": {SERVED: "latest"}}}}, "to a number"),
        ({"template": {"metadata": {"annotations": {"other": "1"}}}}, "of its pods only"),
        ({"template": {"metadata": {"labels": {"other": "1"}}}}, "of its pods only"),
        ({"template": {"spec": {"containers": [{"name": "serving", "image": "other"}]}}}, "of its pods only"),
        (
            {"template": {"spec": {"containers": [{"name": "serving", "envFrom": [SECRET]}]}}},
            "of its pods only",
        ),
        ({"replicas": 0}, "nothing else"),
    ],
)
def test_of_that_the_version_alone(serving: None, patch: dict[str, Any], denied: str):
    options = ("patch", "deployment", "serving", "--dry-run=server", "--as", RUNNER)
    command = ["kubectl", "-n", "fashion", *options, "-p", json.dumps({"spec": patch})]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode == 0) == (not denied), result.stderr
    assert denied in result.stderr


def test_a_new_champion_is_rolled_out_and_no_request_fails(cluster: Cluster, serving: None):
    load = Load(cluster.environment["FASHION_IMAGE"])

    ended = cluster.submit(*SECOND)

    result = load.stop()
    assert ended.code == 0
    assert "fashion/serving serves version 2" in ended.step("deploy")
    assert served() == "2"
    assert result["faults"] == {}
    assert set(result["versions"]) == {"1", "2"}
    assert result["requests"] > 1000


def test_a_version_that_does_not_get_ready_is_rolled_back(cluster: Cluster, serving: None):
    """The champion is version 1 again, whose file is not what training wrote: its pods refuse it."""
    version = cluster.mlflow.get_model_version(MODEL, "1")
    cluster.mlflow.set_model_version_tag(MODEL, "1", FILE_TAG, "0" * 64)
    back = cluster.fashion("rollback", "--model", MODEL, "--reason", "for the test")
    assert "version 2 -> version 1" in back.stdout
    load = Load(cluster.environment["FASHION_IMAGE"])

    ended = cluster.submit(*SECOND)

    result = load.stop()
    cluster.mlflow.set_model_version_tag(MODEL, "1", FILE_TAG, version.tags[FILE_TAG])
    assert ended.code == 1
    assert "error: the run failed in deploy: version 1 did not get ready in fashion/serving" in ended.output
    assert "has the SHA-256" in ended.output
    assert "version 2 is served again" in ended.output
    assert served() == "2"
    assert (result["faults"], set(result["versions"])) == ({}, {"2"})


def test_a_champion_that_is_served_is_left_alone(cluster: Cluster, serving: None):
    """The file is whole again: the next run deploys version 1, and the one after it does nothing."""
    generations = []
    for text in ("serves version 1, before version 2", "serves version 1 already"):
        ended = cluster.submit(*SECOND)
        assert ended.code == 0
        assert text in ended.step("deploy")
        generations.append(deployment()["metadata"]["generation"])
    assert generations[0] == generations[1]
    assert served() == "1"
