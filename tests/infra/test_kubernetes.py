"""infra/kubernetes: valid for Kubernetes, closed where it should be, and in keeping with the pipeline."""

import copy
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest

from pipeline.kubeflow.definition.resources import Cluster
from pipeline.kubeflow.runtime.environment import CONFIG_KEYS, CONFIG_MAP, SECRET
from tests.support.manifests import (
    BUILT,
    OVERLAYS,
    built,
    containers,
    faults,
    one,
    pods,
    references,
    variables,
)

LOCAL, CLOUD = OVERLAYS
KUBERNETES = "1.33"


@pytest.mark.parametrize("name", BUILT)
def test_every_object_is_what_kubernetes_takes(name):
    for each in built(name):
        kubernetes_validate.validate(each, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    ("kind", "called", "path", "value"),
    [
        ("Deployment", "mlflow", ["spec", "replica"], 2),
        ("Deployment", "mlflow", ["spec", "selector"], None),
        (
            "Deployment",
            "s3",
            ["spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"],
            "9000",
        ),
        ("NetworkPolicy", "closed", ["spec", "podselector"], {}),
        ("Role", "fashion-runner", ["rules", 0, "verbs"], "get"),
    ],
)
def test_a_broken_object_is_refused(kind, called, path, value):
    broken = inner = copy.deepcopy(one(LOCAL, kind, called))
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    if value is None:
        del inner[path[-1]]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", BUILT)
def test_pods_are_closed(name):
    assert not {called: faults(pod) for called, pod in pods(name).items() if faults(pod)}
    assert all(pod["spec"]["securityContext"]["runAsUser"] == 10001 for pod in pods(name).values())


@pytest.mark.parametrize(
    ("part", "key", "value", "fault"),
    [
        ("pod", "automountServiceAccountToken", True, "token"),
        ("pod", "hostNetwork", True, "host"),
        ("pod", "volumes", [{"name": "x", "hostPath": {"path": "/"}}], "volume"),
        ("pod context", "runAsUser", 0, "root"),
        ("pod context", "seccompProfile", {"type": "Unconfined"}, "seccomp"),
        ("container", "resources", {"requests": {"cpu": "1", "memory": "1Gi"}}, "resources"),
        ("context", "capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "capabilities"),
        ("context", "readOnlyRootFilesystem", False, "root file system"),
        ("context", "privileged", True, "privilege"),
        ("context", "runAsUser", 0, "root"),
    ],
)
def test_an_open_pod_is_noticed(part, key, value, fault):
    pod = copy.deepcopy(pods(LOCAL)["mlflow"])
    container = pod["spec"]["initContainers"][0]
    parts: dict[str, Any] = {
        "pod": pod["spec"],
        "pod context": pod["spec"]["securityContext"],
        "container": container,
        "context": container["securityContext"],
    }
    parts[part][key] = value
    assert faults(pod) == {fault}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_namespace_refuses_open_pods(name):
    labels = one(name, "Namespace", "fashion")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize(("name", "by_hand"), [(LOCAL, set()), (CLOUD, {SECRET, "mlflow-database"})])
def test_what_a_pod_needs_is_there(name, by_hand):
    there = {
        (each["kind"], each["metadata"]["name"])
        for each in built(name)
        if each["metadata"].get("namespace") == "fashion"
    }
    needed = set().union(*(references(pod) for pod in pods(name).values()))
    assert needed - there == {("Secret", secret) for secret in by_hand}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_runner_may_do_no_more_than_a_run_needs(name):
    rights = {
        (group, resource, called, verb)
        for rule in one(name, "Role", "fashion-runner")["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for called in rule.get("resourceNames", ["any"])
        for verb in rule["verbs"]
    }
    assert rights == {
        ("argoproj.io", "workflowtaskresults", "any", "create"),
        ("argoproj.io", "workflowtaskresults", "any", "patch"),
        ("", "configmaps", "kfp-launcher", "get"),
        ("", "secrets", "mlpipeline-minio-artifact", "get"),
    }
    binding = one(name, "RoleBinding", "fashion-runner")
    account = one(name, "ServiceAccount", "fashion-runner")
    assert binding["roleRef"]["name"] == "fashion-runner"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount"} | {key: account["metadata"][key] for key in ("name", "namespace")}
    ]
    assert not [each for each in built(name) if each["kind"].startswith("ClusterRole")]


def test_the_steps_find_their_environment():
    local, cloud = (one(name, "ConfigMap", CONFIG_MAP, "kubeflow")["data"] for name in OVERLAYS)
    assert set(local) == set(CONFIG_KEYS)
    assert set(cloud) == set(CONFIG_KEYS) - {"AWS_ENDPOINT_URL"}
    assert (local["FASHION_STATE_URL"], cloud["FASHION_STATE_URL"]) == (
        "s3://fashion/state",
        "s3://your-bucket/state",
    )


@pytest.mark.parametrize(
    ("name", "variable"),
    [(LOCAL, "MLFLOW_TRACKING_URI"), (CLOUD, "MLFLOW_TRACKING_URI"), (LOCAL, "AWS_ENDPOINT_URL")],
)
def test_an_address_leads_to_a_container(name, variable):
    address = urlsplit(one(name, "ConfigMap", CONFIG_MAP)["data"][variable])
    service, namespace, *domain = str(address.hostname).split(".")
    assert domain == ["svc", "cluster", "local"]
    spec = one(name, "Service", service, namespace)["spec"]
    (target,) = (port["targetPort"] for port in spec["ports"] if port["port"] == address.port)
    (pod,) = (
        each for each in pods(name).values() if each["metadata"]["labels"].items() >= spec["selector"].items()
    )
    (container,) = pod["spec"]["containers"]
    (port,) = (each["containerPort"] for each in container["ports"] if each["name"] == target)
    assert any(str(port) in argument for argument in container.get("command", []) + container.get("args", []))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/health", "port": target}


@pytest.mark.parametrize("name", OVERLAYS)
def test_mlflow_answers_to_its_names_and_to_no_other(name):
    from mlflow.server.security_utils import is_allowed_host_header

    environment = variables(pods(name)["mlflow"]["spec"]["containers"][0])
    names = list(environment)
    assert names.index("NAMESPACE") < names.index(
        "MLFLOW_SERVER_ALLOWED_HOSTS"
    )  # or Kubernetes leaves it as it is
    allowed = environment["MLFLOW_SERVER_ALLOWED_HOSTS"].replace("$(NAMESPACE)", "fashion").split(",")
    host = urlsplit(one(name, "ConfigMap", CONFIG_MAP)["data"]["MLFLOW_TRACKING_URI"]).netloc
    for good in (host, "mlflow.fashion:5000", "localhost:5000", "127.0.0.1:8080"):
        assert is_allowed_host_header(allowed, good), good
    for bad in ("evil.example.com", "evil.mlflow.fashion:5000", "mlflow.fashion.evil.com:5000"):
        assert not is_allowed_host_header(allowed, bad), bad


def test_mlflow_serves_artifacts_from_the_bucket():
    for name, bucket in ((LOCAL, "fashion"), (CLOUD, "your-bucket")):
        server = pods(name)["mlflow"]["spec"]["containers"][0]
        assert server["command"][:2] == ["mlflow", "server"]
        assert {"--host=0.0.0.0", "--port=5000", "--serve-artifacts"} <= set(server["command"])
        environment = variables(server)
        assert environment["MLFLOW_ARTIFACTS_DESTINATION"] == f"s3-proxied://{bucket}/mlflow"
        assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
        upgrade = next(each for each in containers(pods(name)["mlflow"]) if each["name"] == "schema")
        store = environment["MLFLOW_BACKEND_STORE_URI"]
        assert variables(upgrade)["MLFLOW_BACKEND_STORE_URI"] == store
        assert isinstance(store, dict) == (name == CLOUD)


def test_the_gpu_pod_asks_as_training_does():
    spec, training = pods("gpu-node")["gpu-test"]["spec"], Cluster("fashion-pipeline:x")
    assert spec["nodeSelector"] == training.selector
    assert spec["tolerations"] == [
        {"key": toleration.key, "operator": "Exists"} for toleration in training.tolerated
    ]
    assert spec["containers"][0]["resources"]["limits"][training.accelerator] == 1
