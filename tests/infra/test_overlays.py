"""infra/kubernetes: what the local and the cloud overlay set, and where a user changes it."""

import base64
import shutil

import pytest

from pipeline.kubeflow.runtime.environment import CONFIG_MAP, SECRET, SECRET_KEYS
from tests.support.manifests import (
    FOLDER,
    OVERLAYS,
    built,
    containers,
    one,
    pods,
    variables,
)

LOCAL, CLOUD = OVERLAYS


def test_servers_with_one_volume_never_overlap_and_those_without_always_do():
    for called in ("mlflow", "s3"):
        spec = one(LOCAL, "Deployment", called)["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    spec = one(CLOUD, "Deployment", "mlflow")["spec"]
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]["maxUnavailable"]) == (2, 0)
    budget = one(CLOUD, "PodDisruptionBudget", "mlflow")["spec"]
    assert budget == {"minAvailable": 1, "selector": spec["selector"]}


def test_the_local_key_is_the_same_for_server_and_steps():
    keys = [one(LOCAL, "Secret", SECRET, namespace)["data"] for namespace in ("fashion", "kubeflow")]
    assert keys[0] == keys[1]
    assert set(keys[0]) <= set(SECRET_KEYS)
    assert all(len(base64.b64decode(value)) >= 3 for value in keys[0].values())


def test_no_secret_is_in_the_cloud_overlay():
    assert not [each for each in built(CLOUD) if each["kind"] == "Secret"]
    for pod in pods(CLOUD).values():
        for container in containers(pod):
            for name, value in variables(container).items():
                private = name in SECRET_KEYS or name == "MLFLOW_BACKEND_STORE_URI"
                assert not (private and isinstance(value, str)), name
    examples = {path.name: path.read_text().split() for path in (FOLDER / CLOUD).glob("*.env.example")}
    assert examples == {
        "fashion-storage.env.example": ["AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="],
        "mlflow-database.env.example": [
            "MLFLOW_BACKEND_STORE_URI=postgresql://USER:PASSWORD@HOST:5432/mlflow?sslmode=require"
        ],
    }


@pytest.mark.parametrize("name", [*OVERLAYS, "serving", "gpu-node"])
def test_images_wait_for_the_commit_or_are_pinned(name):
    ours = "fashion-pipeline:unset" + "-gpu" * (name == "gpu-node")
    images = {container["image"] for pod in pods(name).values() for container in containers(pod)}
    assert images == {ours} | ({"versity/versitygw:v1.8.0"} if name == LOCAL else set())


@pytest.mark.parametrize("name", OVERLAYS)
def test_names_are_changed_in_one_place(name, tmp_path):
    copied = shutil.copytree(FOLDER, tmp_path / "kubernetes")
    settings = copied / name / "settings.env"
    settings.write_text("namespace=vision\nkfp_namespace=team-a\nbucket=acme\nregion=eu-west-1\n")
    before, after = str(built(name)), built(copied / name)
    for old, new in (("fashion", "vision"), ("kubeflow", "team-a")):
        # as a namespace: in metadata, subjects, selectors and addresses
        for form in ("'namespace': '{}'", "'kubernetes.io/metadata.name': '{}'"):
            # Steps reach KFP where the runs are, and in KFP's own namespace, whose name stays.
            stays = 1 if old == "kubeflow" and "metadata.name" in form else 0
            assert str(after).count(form.format(old)) == stays
            assert before.count(form.format(old)) - stays == str(after).count(form.format(new)) > 0
    assert one(copied / name, "Namespace", "vision")
    config = one(copied / name, "ConfigMap", CONFIG_MAP, "team-a")["data"]
    assert config.pop("AWS_ENDPOINT_URL", "http://s3.vision.svc.cluster.local:9000").split(".")[1] == "vision"
    assert config == {
        "MLFLOW_TRACKING_URI": "http://mlflow.vision.svc.cluster.local:5000",
        "FASHION_STATE_URL": "s3://acme/state",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    server = variables(pods(copied / name)["mlflow"]["spec"]["containers"][0])
    assert server["MLFLOW_ARTIFACTS_DESTINATION"] == "s3-proxied://acme/mlflow"
    assert "us-east-1" not in str(after)


def test_workload_identity_needs_two_lines(tmp_path):
    copied = shutil.copytree(FOLDER, tmp_path / "kubernetes") / CLOUD
    text = (copied / "kustomization.yaml").read_text()
    lines = "  # - path: workload-identity.yaml\n  #   target: "
    assert text.count(lines) == 1
    (copied / "kustomization.yaml").write_text(text.replace(lines, lines.replace("# ", "")))
    for account in ("mlflow", "fashion-runner"):
        assert one(copied, "ServiceAccount", account)["metadata"]["annotations"].keys() == {
            "eks.amazonaws.com/role-arn"
        }
