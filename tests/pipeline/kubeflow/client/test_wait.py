"""Waiting for runs: replays of runs that a real KFP recorded."""

from pathlib import Path

import pytest

from components.common.errors import ClusterError, ExitCode
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.connection import UnreachableError
from pipeline.kubeflow.client.diagnosis import Failure
from pipeline.kubeflow.client.progress import StepState
from pipeline.kubeflow.client.wait import wait_until_finished
from tests.support.json_server import Fault
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer, main_container, unscheduled
from tests.support.watched_run import (
    INNER,
    NO_NODE,
    PASSED,
    TRAIN,
    WatchedRun,
)

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


def test_passed(server: KfpServer, packages: dict[str, Path]) -> None:
    run = WatchedRun(server, packages["one"], "passed")
    ended = run.wait()
    assert run.changed_states == PASSED
    assert ended.steps == [
        StepState("ingest", "done", "", 9.0, f"{INNER}.ingest"),
        StepState("train", "done", "", 7.0, f"{INNER}.train"),
        StepState("gate", "done", "", 6.0, f"{INNER}.gate"),
        StepState("register", "done", "", 7.0, f"{INNER}.condition-2.register"),
        StepState("finish", "done", "", 7.0, f"{INNER}.onExit.finish"),
    ]
    assert (ended.run_id, ended.state, ended.seconds) == (run.run_id, "SUCCEEDED", 85.0)
    assert (ended.not_run, ended.results, ended.failure) == ([], {}, None)


def test_stopped(server: KfpServer, packages: dict[str, Path]) -> None:
    run = WatchedRun(server, packages["one"], "passed")
    run.kfp.terminate(run.run_id)
    ended = run.wait()
    assert (ended.state, ended.failure) == ("STOPPED", Failure("", "somebody stopped the run"))


NO_SUCH_IMAGE = 'failed to pull and unpack image "i": not found'


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (f"{TRAIN}(0)", "train"),
        (f"{INNER}.train-driver", "train-driver"),
        (f"{INNER}.onExit.finish.executor", "finish"),
    ],
)
@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"]
)
def test_image_that_cannot_be_pulled_ends_the_wait(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path], path: str, name: str, reason: str
) -> None:
    kube.add_pod(path, **main_container("Pending", waiting={"reason": reason, "message": NO_SUCH_IMAGE}))
    run = WatchedRun(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError) as caught:
        run.wait(start_seconds=0)
    assert caught.value.exit_code == ExitCode.CLUSTER
    assert str(caught.value).startswith(
        f"{name} cannot start, the image i cannot be pulled: {reason}: {NO_SUCH_IMAGE}"
    )
    assert f"fashion runs stop {run.run_id}" in caught.value.hint
    assert "--image" in caught.value.hint


def test_container_that_cannot_be_made_ends_the_wait(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    why = {"reason": "CreateContainerConfigError", "message": "container has runAsNonRoot"}
    kube.add_pod(f"{TRAIN}(0)", **main_container("Pending", waiting=why))
    run = WatchedRun(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError, match="train cannot start, its container cannot be made: Create"):
        run.wait(start_seconds=0)


def test_server_that_is_away_for_a_while(server: KfpServer, packages: dict[str, Path]) -> None:
    run = WatchedRun(server, packages["one"], "passed")
    server.faults = [
        Fault(run.run_id, 503, "restarting", "text/plain", times=3, after=after) for after in (0, 5)
    ]
    assert run.wait(max_unanswered_polls=3).state == "SUCCEEDED"
    assert run.changed_states == PASSED
    server.faults.append(Fault(run.run_id, 503, "gone", "text/plain", times=4))
    with pytest.raises(UnreachableError, match="the run goes on"):
        run.wait(max_unanswered_polls=3)


def test_time_is_up(server: KfpServer, kube: KubeServer, packages: dict[str, Path]) -> None:
    kube.add_pod(f"{TRAIN}(0)", **unscheduled(NO_NODE))
    run = WatchedRun(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError) as caught:
        run.wait(timeout=0)
    assert f"train is waiting for a node: {NO_NODE}" in str(caught.value)
    assert run.run_id in caught.value.hint
    assert server.calls_of("POST", ":terminate") == []


def test_unknown_run(server: KfpServer) -> None:
    with pytest.raises(ClusterError, match="nope not found"):
        wait_until_finished(Kfp(server.url), "nope", print, print)
