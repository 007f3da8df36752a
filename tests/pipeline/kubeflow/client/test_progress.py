"""The states of steps, from KFP's tasks and from pods."""

from pathlib import Path
from typing import Any

import pytest

from components.common.errors import ClusterError
from pipeline.kubeflow.client.progress import StepState
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer, main_container, unscheduled
from tests.support.watched_run import (
    INNER,
    NO_NODE,
    OOM,
    RUNNING,
    TRAIN,
    WatchedRun,
    starts_and_ends,
)

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


def test_from_cache(server: KfpServer, packages: dict[str, Path]) -> None:
    run = WatchedRun(server, packages["one"], "cached")
    ended = run.wait()
    first = [f"{step} {state}" for step in ("ingest", "train", "gate") for state in ("starting", "cached")]
    assert run.changed_states == first + starts_and_ends("register", "finish")
    assert [step.state for step in ended.steps] == ["cached", "cached", "cached", "done", "done"]


def test_rejected(server: KfpServer, packages: dict[str, Path]) -> None:
    run = WatchedRun(server, packages["one"], "rejected")
    ended = run.wait()
    assert run.changed_states == [
        *starts_and_ends("ingest", "train", "gate"),
        "register skipped",
        *starts_and_ends("finish"),
    ]
    assert (ended.state, ended.failure, ended.not_run) == ("SUCCEEDED", None, [])


def test_sweep(server: KfpServer, packages: dict[str, Path]) -> None:
    run = WatchedRun(server, packages["several"], "sweep")
    ended = run.wait()
    both = [f"train {item} {state}" for state in ("starting", "running", "done") for item in "xy"]
    assert run.changed_states == starts_and_ends("ingest") + both + starts_and_ends("finish")
    rounds = [f"{INNER}.for-loop-2.iteration-iterations({i}:{i}).iteration-item.train" for i in (0, 1)]
    assert [(s.step, s.path) for s in ended.steps[1:3]] == [("train x", rounds[0]), ("train y", rounds[1])]


def test_waiting_for_a_node(server: KfpServer, kube: KubeServer, packages: dict[str, Path]) -> None:
    kube.add_pod(f"{INNER}.ingest.executor", **main_container("Succeeded", terminated={"exitCode": 0}))
    kube.add_pod(f"{TRAIN}(0)", **unscheduled(f"{NO_NODE}. preemption: 0/2 nodes are available: none."))
    run = WatchedRun(server, packages["one"], "passed")
    run.wait()
    step = StepState("train", "waiting", NO_NODE, path=f"{INNER}.train")
    assert [change for change in run.changes if change.step == "train"][:2] == [
        StepState("train", "starting", path=f"{INNER}.train"),
        step,
    ]
    asked = kube.calls_of("GET", "/pods")
    assert asked[0].query["labelSelector"] == f"pipeline/runid={run.run_id}"
    assert asked[0].path == "/api/v1/namespaces/kubeflow/pods"


def test_image_that_cannot_be_pulled_is_reported_once(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    why = 'failed to pull and unpack image "x:1": not found'
    back_off = f'Back-off pulling image "x:1": ErrImagePull: {why}'
    waits = [{"reason": "ErrImagePull", "message": why}, {"reason": "ImagePullBackOff", "message": back_off}]
    kube.add_pod(f"{INNER}.ingest.executor")
    run = WatchedRun(server, packages["one"], "passed")
    details = []
    for wait in waits:
        kube.pods[0]["status"] = main_container("Pending", waiting=wait)
        server.looks[run.run_id] = [26]
        with pytest.raises(ClusterError):
            run.wait(timeout=0)
        details.append(run.changes[-1])
    assert details == [StepState("ingest", "starting", f"ErrImagePull: {why}", path=f"{INNER}.ingest")] * 2


def test_second_try(server: KfpServer, kube: KubeServer, packages: dict[str, Path]) -> None:
    lost = main_container("Failed", terminated={"exitCode": 137, "reason": "OOMKilled"})
    kube.add_pod(f"{TRAIN}(0)", **lost)
    run = WatchedRun(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    for status in (None, main_container("Running", running={}), lost):
        if status:
            kube.pods = kube.pods[:1]
            kube.add_pod(f"{TRAIN}(1)", **status)
        with pytest.raises(ClusterError):
            run.wait(timeout=0)
    train = [(change.state, change.detail) for change in run.changes if change.step == "train"]
    assert train == [("starting", "again, after: OOMKilled"), ("running", "try 2"), ("running", "try 2")]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (RUNNING, ("running", "try 2")),
        (main_container("Pending", waiting={"reason": "ContainerCreating"}), ("starting", "try 2")),
        (unscheduled(NO_NODE), ("waiting", f"try 2: {NO_NODE}")),
        (main_container("Succeeded", terminated={"exitCode": 0}), ("running", "try 2")),
        (OOM, ("running", "try 2")),
        (None, ("starting", "again, after: pod deleted")),
    ],
)
@pytest.mark.parametrize("lost", [False, True], ids=["first-pod-is-there", "first-pod-was-deleted"])
def test_try_is_part_of_every_state(
    server: KfpServer,
    kube: KubeServer,
    packages: dict[str, Path],
    lost: bool,
    second: dict[str, Any] | None,
    expected: tuple[str, str],
) -> None:
    if not lost:
        kube.add_pod(f"{TRAIN}(0)", **(main_container("Failed") | {"reason": "pod deleted"}))
    kube.faults_of[f"{TRAIN}(0)"] = "pod deleted"
    if second:
        kube.add_pod(f"{TRAIN}(1)", **second)
    run = WatchedRun(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError):
        run.wait(timeout=0)
    assert [(step.state, step.detail) for step in run.changes if step.step == "train"] == [expected]


def test_try_is_part_of_the_final_state(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    kube.add_pod(f"{TRAIN}(1)", **OOM)
    assert WatchedRun(server, packages["one"], "failed").wait().steps[1].detail == "try 2: OOMKilled"
    kube.pods[0]["status"] = main_container("Succeeded", terminated={"exitCode": 0})
    assert WatchedRun(server, packages["one"], "passed").wait().steps[1].detail == "try 2"
