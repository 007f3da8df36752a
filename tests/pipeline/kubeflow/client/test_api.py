"""Runs, experiments and namespaces, against a server that speaks KFP's REST API."""

from pathlib import Path
from typing import Any

import pytest

from components.common.errors import ClusterError
from pipeline.kubeflow.client.api import Kfp, SubmittedRun
from pipeline.kubeflow.client.connection import UnreachableError
from tests.support.json_server import Fault, serving
from tests.support.kfp_fixtures import connection_error, start_run
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


def test_single_user_kfp_gets_no_namespace(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url, "kubeflow")
    start_run(kfp, packages["one"], "name", "e", {"n": 1})
    assert (kfp.namespace, Kfp(server.url).namespace) == ("kubeflow", "kubeflow")
    assert [call.query.get("namespace") for call in server.calls] == [None] * len(server.calls)
    assert "namespace" not in server.calls_of("POST", "experiments")[0].body


@pytest.mark.usefixtures("kube")
def test_namespace_of_a_single_user_kfp_is_looked_up(server: KfpServer) -> None:
    assert Kfp(server.url, "team").namespace == "team"
    assert "'nonsense'" in str(connection_error(server.url, namespace="nonsense"))


def test_namespace_that_nobody_can_look_up(server: KfpServer) -> None:
    assert "KUBECONFIG" in connection_error(server.url, namespace="team").hint


def test_namespace_of_a_kfp_for_several_users(packages: dict[str, Path]) -> None:
    with serving(KfpServer(users=("mine",))) as server:
        assert "--namespace" in connection_error(server.url).hint
        assert "'u' is not authorized" in str(connection_error(server.url, namespace="theirs"))
        start_run(Kfp(server.url, "mine"), packages["one"], "name", "e", {"n": 1})
    assert server.experiments[0]["namespace"] == "mine"
    listed = [call.query.get("namespace") for call in server.calls_of("GET", "experiments")]
    assert listed == ["theirs", "mine", "mine"]


def test_submitted_run_is_the_package(server: KfpServer, packages: dict[str, Path]) -> None:
    from kfp.client.client import _extract_pipeline_yaml

    kfp = Kfp(server.url)
    run = start_run(
        kfp, packages["one"], "a name", "an experiment", {"n": 3, "mode": "x"}, service_account="sa"
    )
    assert run == SubmittedRun(
        server.runs[0]["run_id"], "a name", f"{server.url}/#/runs/details/{run.run_id}"
    )
    assert server.calls_of("POST", "runs")[0].body == {
        "experiment_id": server.experiments[0]["experiment_id"],
        "display_name": "a name",
        "pipeline_spec": _extract_pipeline_yaml(str(packages["one"])).to_dict(),
        "runtime_config": {"parameters": {"n": 3, "mode": "x"}},
        "service_account": "sa",
    }
    assert "platform_spec" in server.runs[0]["pipeline_spec"]
    start_run(kfp, packages["several"], "b", "an experiment", {"n": 3, "candidates": ["a", "b"]})
    assert [run["experiment_id"] for run in server.runs] == [server.experiments[0]["experiment_id"]] * 2
    assert len(server.experiments) == 1
    assert "service_account" not in server.runs[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 1, "nn": 2}, "parameter(s) provided are not required by pipeline: nn"),
        ({}, "parameter n is not optional, yet has neither default value"),
        ({"n": "x"}, "input parameter n requires type NUMBER_INTEGER"),
    ],
)
def test_bad_parameter_is_named_by_the_server(
    server: KfpServer, packages: dict[str, Path], arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClusterError) as caught:
        start_run(Kfp(server.url), packages["one"], "name", "e", arguments)
    assert str(caught.value) == f"KFP at {server.url} refuses: {words}"
    assert server.runs == []


def test_submission_is_not_repeated(server: KfpServer, packages: dict[str, Path]) -> None:
    server.faults.append(Fault("/runs", 503, "busy", "text/plain"))
    with pytest.raises(UnreachableError):
        start_run(Kfp(server.url), packages["one"], "name", "e", {"n": 1})
    assert len(server.calls_of("POST", "/runs")) == 1


def test_stop(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    run = start_run(kfp, packages["one"], "name", "e", {"n": 1})
    kfp.terminate(run.run_id)
    assert kfp.run(run.run_id).state == "FAILED"
    with pytest.raises(ClusterError, match="has ended"):
        kfp.terminate(run.run_id)
    with pytest.raises(ClusterError, match="run_id nope not found"):
        kfp.terminate("nope")
    assert len(server.calls_of("POST", ":terminate")) == 1


def test_cluster_that_does_not_answer(server: KfpServer, kube: KubeServer) -> None:
    kube.faults.append(Fault("team", 401, "{}"))
    assert "KUBECONFIG" in connection_error(server.url, namespace="team").hint
    kube.faults[0].status = 403  # it may be there
    assert Kfp(server.url, "team").namespace == "team"
