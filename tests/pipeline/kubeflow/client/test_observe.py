"""A run as KFP's API and Argo's workflow show it, where one of them is behind or away."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from components.common.errors import ClusterError
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.diagnosis import Failure
from pipeline.kubeflow.client.observe import Observer
from tests.support.json_server import Fault
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer, main_container
from tests.support.watched_run import (
    RUNNING,
    TRAIN,
    WatchedRun,
    argo_workflow,
)

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


def test_image_that_is_pulled_in_the_end(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod is waited for as long as each pod may take; one that starts is forgotten."""
    now = iter(range(0, 10_000, 60))
    clock = SimpleNamespace(monotonic=lambda: float(next(now)))
    monkeypatch.setattr("pipeline.kubeflow.client.observe.time", clock)
    observer = Observer(Kfp(server.url), "id", print)
    waiting = main_container("Pending", waiting={"reason": "ErrImagePull", "message": "not found"})
    kube.add_pod(f"{TRAIN}(0)", **waiting)
    pods = observer.pods.of_run("id")
    assert [bool(observer.blocked_pod(pods, 150)) for _ in range(3)] == [False, False, False]
    kube.pods[0]["status"] = RUNNING
    assert observer.blocked_pod(observer.pods.of_run("id"), 150) is None
    assert [bool(observer.blocked_pod(pods, 150)) for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("away", [False, True], ids=["kfp-says-running", "kfp-is-away"])
def test_argo_is_believed_where_kfp_does_not_come_to_an_end(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path], away: bool
) -> None:
    run = WatchedRun(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError, match="after 0 s"):
        run.wait(timeout=0, grace_seconds=0)
    kube.workflow = argo_workflow("Succeeded")
    with pytest.raises(ClusterError, match="after 0 s"):  # KFP may be a little behind
        run.wait(timeout=0, grace_seconds=60)
    if away:
        server.faults.append(Fault(run.run_id, 503, "gone", "text/plain", after=1))
    ended = run.wait(grace_seconds=0.05 if away else 0)
    assert (ended.state, ended.seconds, ended.failure) == ("SUCCEEDED", 85.0, None)
    assert [(step.step, step.state) for step in ended.steps] == [
        (step, "done") for step in ("ingest", "train", "gate", "register", "finish")
    ]
    kfp_says = "does not answer" if away else "still says running"
    assert run.messages[-1] == f"Argo has ended the run (succeeded), KFP's API {kfp_says}"


def test_argo_is_believed_where_kfp_never_answers(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    run = WatchedRun(server, packages["one"], "passed")
    server.faults.append(Fault(run.run_id, 503, "gone", "text/plain"))
    kube.workflow = argo_workflow("Succeeded")
    ended = run.wait(grace_seconds=0)
    assert (ended.state, ended.seconds, ended.steps, ended.failure) == ("SUCCEEDED", 85.0, [], None)


def test_failure_that_argo_alone_knows(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    run = WatchedRun(server, packages["one"], "failed")
    server.looks[run.run_id] = [30]
    kube.workflow = argo_workflow("Failed", "failed")
    kube.faults_of[f"{TRAIN}(1)"] = "OOMKilled"
    ended = run.wait(grace_seconds=0)
    assert ended.state == "FAILED"
    assert ended.failure == Failure("train", "OOMKilled", "it had too little memory: --memory")
    assert ended.not_run == ["gate", "register"]
    kube.workflow["spec"] = {"activeDeadlineSeconds": 0}
    assert run.wait(grace_seconds=0).state == "STOPPED"


def test_while_kfp_is_away_argo_is_looked_at(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    run = WatchedRun(server, packages["one"], "passed")
    server.looks[run.run_id] = [26, 86]
    server.faults = [Fault(run.run_id, 503, "restarting", "text/plain", times=50, after=1)]
    kube.workflow = argo_workflow("Running", now=55)
    assert run.wait(max_unanswered_polls=3).state == "SUCCEEDED"
    assert run.changed_states[:3] == ["ingest running", "ingest done", "train done"]
    away, back = run.messages
    assert "503" in away
    assert back == "KFP's API answers again"
