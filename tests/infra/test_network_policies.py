"""Who reaches whom by the policies of infra/kubernetes, by the rules of Kubernetes: policies add up."""

import ipaddress
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.manifests import FOLDER, OVERLAYS, Object, built

LOCAL, CLOUD = OVERLAYS
NAME = "kubernetes.io/metadata.name"
"""The label that every namespace has."""


@dataclass(frozen=True)
class Place:
    """A pod, or an address outside."""

    namespace: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    address: str = ""


KFP_POD = {"pipelines.kubeflow.org/v2_component": "true"}
STEP = Place("kubeflow", KFP_POD | {"app.kubernetes.io/part-of": "fashion-pipeline"})
DRIVER, STRANGER = Place("kubeflow", KFP_POD), Place("kubeflow", {"app": "notebook"})
DISGUISED = Place("default", STEP.labels)
MLFLOW = Place("fashion", {"app.kubernetes.io/name": "mlflow"})
S3 = Place("fashion", {"app.kubernetes.io/name": "s3"})
NEIGHBOUR = Place("fashion", {"app": "debug"})
KFP, DNS = Place("kubeflow", {"app": "ml-pipeline"}), Place("kube-system", {"k8s-app": "kube-dns"})
API, INTERNET, METADATA = (Place(address=each) for each in ("10.1.2.3", "93.184.216.34", "169.254.169.254"))


def matches(labels: dict[str, str], selector: Object) -> bool:
    assert set(selector) <= {"matchLabels"}, "this test knows no other selectors"
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return labels.items() >= wanted.items()


def is_peer(peer: Object, place: Place, home: str) -> bool:
    if "ipBlock" in peer:
        block = ipaddress.ip_network(peer["ipBlock"]["cidr"])
        return bool(place.address) and ipaddress.ip_address(place.address) in block
    if place.address:
        return False
    namespace = {NAME: place.namespace}
    there = (
        matches(namespace, peer["namespaceSelector"])
        if "namespaceSelector" in peer
        else place.namespace == home
    )
    return there and matches(place.labels, peer.get("podSelector", {}))


def passes(policies: list[Object], way: str, at: Place, other: Place, port: int, protocol: str) -> bool:
    """Whether the policies that select a pod let this through; none of them means all of it."""
    side, peers = ("Egress", "to") if way == "egress" else ("Ingress", "from")
    chosen = [
        each
        for each in policies
        if each["metadata"]["namespace"] == at.namespace
        and side in each["spec"]["policyTypes"]
        and matches(at.labels, each["spec"]["podSelector"])
    ]
    rules: list[Any] = [rule for each in chosen for rule in each["spec"].get(way, [])]
    return not chosen or any(
        {"protocol": protocol, "port": port} in rule["ports"]
        and any(is_peer(peer, other, at.namespace) for peer in rule[peers])
        for rule in rules
    )


def reaches(policies: list[Object], source: Place, target: Place, port: int, protocol: str = "TCP") -> bool:
    return passes(policies, "egress", source, target, port, protocol) and passes(
        policies, "ingress", target, source, port, protocol
    )


def policies(name: str | Path) -> list[Object]:
    return [each for each in built(name) if each["kind"] == "NetworkPolicy"]


@pytest.mark.parametrize(
    ("source", "target", "port", "local", "cloud"),
    [
        # steps
        (STEP, MLFLOW, 5000, True, True),
        (STEP, MLFLOW, 22, False, False),
        (STEP, S3, 9000, True, False),
        (STEP, KFP, 8887, True, True),
        (STEP, KFP, 3306, False, False),
        (STEP, API, 6443, True, True),
        (STEP, INTERNET, 443, False, True),
        (STEP, INTERNET, 80, False, False),
        (STEP, METADATA, 80, False, False),
        (STEP, NEIGHBOUR, 8080, False, False),
        # the rest of KFP keeps its network, but reaches only what is meant for runs
        (DRIVER, INTERNET, 80, True, True),
        (DRIVER, KFP, 3306, True, True),
        (STRANGER, MLFLOW, 5000, False, False),
        (STRANGER, S3, 9000, False, False),
        (DISGUISED, MLFLOW, 5000, False, False),
        (DISGUISED, S3, 9000, False, False),
        # servers
        (MLFLOW, S3, 9000, True, False),
        (MLFLOW, INTERNET, 443, False, True),
        (MLFLOW, INTERNET, 5432, False, True),
        (MLFLOW, INTERNET, 80, False, False),
        (MLFLOW, METADATA, 80, False, False),
        (MLFLOW, KFP, 8888, False, False),
        (S3, INTERNET, 443, False, False),
        (S3, MLFLOW, 5000, False, False),
        (NEIGHBOUR, S3, 9000, False, False),
        (INTERNET, MLFLOW, 5000, False, False),
    ],
)
def test_who_reaches_whom(source, target, port, local, cloud):
    assert reaches(policies(LOCAL), source, target, port) == local
    assert reaches(policies(CLOUD), source, target, port) == cloud


@pytest.mark.parametrize("name", OVERLAYS)
def test_runs_in_a_namespace_of_their_own_reach_kfp(name, tmp_path):
    copied = shutil.copytree(FOLDER, tmp_path / "kubernetes") / name
    text = (copied / "settings.env").read_text()
    (copied / "settings.env").write_text(text.replace("kfp_namespace=kubeflow", "kfp_namespace=team-a"))
    theirs, step = policies(copied), Place("team-a", STEP.labels)
    assert reaches(theirs, step, MLFLOW, 5000)
    for port in (8887, 8080, 9000):
        assert reaches(theirs, step, KFP, port)
    assert not reaches(theirs, step, KFP, 3306)
    assert not reaches(theirs, step, Place("team-b", KFP.labels), 8887)


@pytest.mark.parametrize("name", OVERLAYS)
@pytest.mark.parametrize("source", [STEP, MLFLOW])
def test_names_can_be_looked_up(name, source):
    assert all(reaches(policies(name), source, DNS, 53, protocol) for protocol in ("UDP", "TCP"))
    assert not reaches(policies(name), source, INTERNET, 53, "UDP")


@pytest.mark.parametrize(
    ("without", "source", "target", "port"),
    [
        ("closed", KFP, NEIGHBOUR, 8080),
        ("fashion-steps", STEP, KFP, 8888),
        ("mlflow-from-steps", STEP, MLFLOW, 5000),
        ("fashion-steps-to-s3", STEP, S3, 9000),
        ("mlflow-to-s3", MLFLOW, S3, 9000),
    ],
)
def test_each_policy_matters(without, source, target, port):
    """Where one is missing, somebody reaches more, or less, than before."""
    rest = [each for each in policies(LOCAL) if each["metadata"]["name"] != without]
    assert len(rest) == len(policies(LOCAL)) - 1
    assert reaches(rest, source, target, port) != reaches(policies(LOCAL), source, target, port)
