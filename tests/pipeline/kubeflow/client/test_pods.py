"""A cluster that cannot be read for a while, or not at all."""

from pathlib import Path

import pytest

from pipeline.kubeflow.client.pods import Pods
from tests.support.json_server import Fault
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer, main_container
from tests.support.watched_run import (
    PASSED,
    TRAIN,
    WatchedRun,
)

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


def test_cluster_that_is_away_costs_the_reasons_alone(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    kube.faults.append(Fault("", 403, "{}"))
    run = WatchedRun(server, packages["one"], "passed")
    assert run.wait().state == "SUCCEEDED"
    assert run.changed_states == PASSED
    assert len(kube.calls) == 3  # then it is left in peace


def test_cluster_that_is_away_for_a_while(kube: KubeServer) -> None:
    pods = Pods("kubeflow")
    name = kube.add_pod(TRAIN, **main_container("Running", running={}))
    kube.faults = [Fault("/pods", 503, "{}", times=2, after=after) for after in (0, 1)]
    seen = [[pod.name for pod in pods.of_run("id")] for _ in range(6)]
    assert seen == [[], [], [name], [], [], [name]]
