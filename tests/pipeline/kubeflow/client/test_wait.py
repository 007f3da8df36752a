"""Waiting for runs: replays of runs that a real KFP recorded, with pods of a small Kubernetes server."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.common.errors import ClusterError, ExitCode
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.connection import UnreachableError
from pipeline.kubeflow.client.diagnosis import Failure
from pipeline.kubeflow.client.observe import Limits, Observer
from pipeline.kubeflow.client.pods import Pods
from pipeline.kubeflow.client.progress import StepState
from pipeline.kubeflow.client.wait import EndedRun, wait_until_ended
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus
from tests.support.json_server import Fault
from tests.support.kfp_server import KfpServer, replay
from tests.support.kube_server import KubeServer, main_container, unscheduled

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")

INNER = "root.exit-handler-1"
TRAIN = f"{INNER}.train.executor"
NO_NODE = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint {a: b}"


class Watched:
    """A run that goes the way of a recorded one."""

    def __init__(self, server: KfpServer, package: Path, recorded: str) -> None:
        server.recorded = recorded
        self.kfp = Kfp(server.url)
        arguments = {"n": 3, "candidates": ["x", "y"]} if recorded == "sweep" else {"n": 3}
        self.run_id = self.kfp.submit(package, "name", "e", arguments).run_id
        self.changes: list[StepState] = []
        self.said: list[str] = []

    def wait(self, timeout: float | None = None, **options: Any) -> EndedRun:
        """Waits without a pause between two looks."""
        limits = Limits(**{"poll": 0, "patience": 0} | options)
        return wait_until_ended(self.kfp, self.run_id, self.changes.append, timeout, limits, self.said.append)

    @property
    def told(self) -> list[str]:
        """The changes of state, in order."""
        return [f"{step.step} {step.state}" for step in self.changes]


def ways(*steps: str) -> list[str]:
    """The changes of steps that start, run and are done, one after the other."""
    return [f"{step} {state}" for step in steps for state in ("starting", "running", "done")]


PASSED = ways("ingest", "train", "gate", "register", "finish")


def test_passed(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Watched(server, packages["one"], "passed")
    ended = run.wait()
    assert run.told == PASSED
    assert ended.steps == [
        StepState("ingest", "done", "", 9.0, f"{INNER}.ingest"),
        StepState("train", "done", "", 7.0, f"{INNER}.train"),
        StepState("gate", "done", "", 6.0, f"{INNER}.gate"),
        StepState("register", "done", "", 7.0, f"{INNER}.condition-2.register"),
        StepState("finish", "done", "", 7.0, f"{INNER}.onExit.finish"),
    ]
    assert (ended.run_id, ended.state, ended.seconds) == (run.run_id, "SUCCEEDED", 85.0)
    assert (ended.not_run, ended.results, ended.failure) == ([], {}, None)


def test_from_cache(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Watched(server, packages["one"], "cached")
    ended = run.wait()
    first = [f"{step} {state}" for step in ("ingest", "train", "gate") for state in ("starting", "cached")]
    assert run.told == first + ways("register", "finish")
    assert [step.state for step in ended.steps] == ["cached", "cached", "cached", "done", "done"]


def test_rejected(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Watched(server, packages["one"], "rejected")
    ended = run.wait()
    assert run.told == [*ways("ingest", "train", "gate"), "register skipped", *ways("finish")]
    assert (ended.state, ended.failure, ended.not_run) == ("SUCCEEDED", None, [])


def test_sweep(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Watched(server, packages["several"], "sweep")
    ended = run.wait()
    both = [f"train {item} {state}" for state in ("starting", "running", "done") for item in "xy"]
    assert run.told == ways("ingest") + both + ways("finish")
    rounds = [f"{INNER}.for-loop-2.iteration-iterations({i}:{i}).iteration-item.train" for i in (0, 1)]
    assert [(s.step, s.path) for s in ended.steps[1:3]] == [("train x", rounds[0]), ("train y", rounds[1])]


def test_failed_without_a_reason(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Watched(server, packages["one"], "failed")
    ended = run.wait()
    assert run.told == [
        *("ingest starting", "ingest cached"),
        *("train starting", "train running", "train starting", "train running", "train failed"),
        *ways("finish"),
    ]
    assert (ended.state, ended.not_run) == ("FAILED", ["gate", "register"])
    assert ended.failure == Failure("train", "KFP does not tell why", f"look at {run.kfp.url(run.run_id)}")


def test_stopped(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Watched(server, packages["one"], "passed")
    run.kfp.stop(run.run_id)
    ended = run.wait()
    assert (ended.state, ended.failure) == ("STOPPED", Failure("", "somebody stopped the run"))


def test_waiting_for_a_node(server: KfpServer, kube: KubeServer, packages: dict[str, Path]) -> None:
    kube.add_pod(f"{INNER}.ingest.executor", **main_container("Succeeded", terminated={"exitCode": 0}))
    kube.add_pod(f"{TRAIN}(0)", **unscheduled(f"{NO_NODE}. preemption: 0/2 nodes are available: none."))
    run = Watched(server, packages["one"], "passed")
    run.wait()
    step = StepState("train", "waiting", NO_NODE, path=f"{INNER}.train")
    assert [change for change in run.changes if change.step == "train"][:2] == [
        StepState("train", "starting", path=f"{INNER}.train"),
        step,
    ]
    asked = kube.calls_of("GET", "/pods")
    assert asked[0].query["labelSelector"] == f"pipeline/runid={run.run_id}"
    assert asked[0].path == "/api/v1/namespaces/kubeflow/pods"


def test_image_that_cannot_be_pulled_is_told_once(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    why = 'failed to pull and unpack image "x:1": not found'
    back_off = f'Back-off pulling image "x:1": ErrImagePull: {why}'
    waits = [{"reason": "ErrImagePull", "message": why}, {"reason": "ImagePullBackOff", "message": back_off}]
    kube.add_pod(f"{INNER}.ingest.executor")
    run = Watched(server, packages["one"], "passed")
    told = []
    for wait in waits:
        kube.pods[0]["status"] = main_container("Pending", waiting=wait)
        server.looks[run.run_id] = [26]
        with pytest.raises(ClusterError):
            run.wait(timeout=0)
        told.append(run.changes[-1])
    assert told == [StepState("ingest", "starting", f"ErrImagePull: {why}", path=f"{INNER}.ingest")] * 2


def test_second_try(server: KfpServer, kube: KubeServer, packages: dict[str, Path]) -> None:
    lost = main_container("Failed", terminated={"exitCode": 137, "reason": "OOMKilled"})
    kube.add_pod(f"{TRAIN}(0)", **lost)
    run = Watched(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    for status in (None, main_container("Running", running={}), lost):
        if status:
            kube.pods = kube.pods[:1]
            kube.add_pod(f"{TRAIN}(1)", **status)
        with pytest.raises(ClusterError):
            run.wait(timeout=0)
    train = [(change.state, change.detail) for change in run.changes if change.step == "train"]
    assert train == [("starting", "again, after: OOMKilled"), ("running", "try 2"), ("running", "try 2")]


RUNNING, OOM = (
    main_container("Running", running={}),
    main_container("Failed", terminated={"exitCode": 137, "reason": "OOMKilled"}),
)


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
def test_try_is_told_in_every_state(
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
    run = Watched(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError):
        run.wait(timeout=0)
    assert [(step.state, step.detail) for step in run.changes if step.step == "train"] == [expected]


def test_try_is_told_at_the_end(server: KfpServer, kube: KubeServer, packages: dict[str, Path]) -> None:
    kube.add_pod(f"{TRAIN}(1)", **OOM)
    assert Watched(server, packages["one"], "failed").wait().steps[1].detail == "try 2: OOMKilled"
    kube.pods[0]["status"] = main_container("Succeeded", terminated={"exitCode": 0})
    assert Watched(server, packages["one"], "passed").wait().steps[1].detail == "try 2"


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
    run = Watched(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError) as caught:
        run.wait(start=0)
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
    run = Watched(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError, match="train cannot start, its container cannot be made: Create"):
        run.wait(start=0)


def test_image_that_is_pulled_in_the_end(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod is waited for as long as each pod may take; one that starts is forgotten."""
    now = iter(range(0, 10_000, 60))
    clock = SimpleNamespace(monotonic=lambda: float(next(now)))
    monkeypatch.setattr("pipeline.kubeflow.client.observe.time", clock)
    observer = Observer(Kfp(server.url), "id", print, Limits(start=150))
    waiting = main_container("Pending", waiting={"reason": "ErrImagePull", "message": NO_SUCH_IMAGE})
    kube.add_pod(f"{TRAIN}(0)", **waiting)
    pods = observer.pods.of_run("id")
    assert [bool(observer.blocked(pods)) for _ in range(3)] == [False, False, False]
    kube.pods[0]["status"] = RUNNING
    assert observer.blocked(observer.pods.of_run("id")) is None
    assert [bool(observer.blocked(pods)) for _ in range(4)] == [False, False, False, True]


TRACEBACK = """epoch 1
Traceback (most recent call last):
  File "x.py", line 1, in <module>
    raise ValueError("no")
ValueError: no
F1121 launcher: exit status 1
"""
WORDS = "error: train.epochs: 0 is refused\n  train.seed: -1 is refused\nwhat to do: mend them"
SAID = Failure("train", "train.epochs: 0 is refused\n  train.seed: -1 is refused", "mend them")


@pytest.mark.parametrize(
    ("terminated", "log", "argo", "expected"),
    [
        ({"exitCode": 1, "reason": "Error", "message": WORDS}, "", "", SAID),
        ({"exitCode": 1, "reason": "Error"}, f"epoch 1\n{WORDS}\nI1121 launcher: exit 3\n", "", SAID),
        ({"exitCode": 1, "reason": "Error"}, "error: one\nerror: two\n", "", Failure("train", "two")),
        (
            {"exitCode": 137, "reason": "OOMKilled"},
            "epoch 1\n",
            "",
            Failure("train", "OOMKilled", "it had too little memory: --memory"),
        ),
        (None, "", f"main: Error (exit code 1): {WORDS}", SAID),
        (None, "", "pod deleted", Failure("train", "pod deleted")),
        (
            {"exitCode": 1, "reason": "Error"},
            TRACEBACK,
            "main: Error (exit code 1)",
            Failure("train", "ValueError: no"),
        ),
    ],
)
def test_reason_of_the_cluster(
    server: KfpServer,
    kube: KubeServer,
    packages: dict[str, Path],
    terminated: dict[str, object] | None,
    log: str,
    argo: str,
    expected: Failure,
) -> None:
    if terminated:
        kube.add_pod(f"{TRAIN}(0)", **main_container("Failed", terminated={"exitCode": 1}))
        kube.logs[kube.add_pod(f"{TRAIN}(1)", **main_container("Failed", terminated=terminated))] = log
    if argo:
        kube.faults_of[f"{INNER}.train.executor(1)"] = argo
    assert Watched(server, packages["one"], "failed").wait().failure == expected


def test_driver_that_could_not_be_made(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    kube.faults_of["root-driver"] = "task 'wf.root-driver' errored: no service account"
    run = Watched(server, packages["one"], "passed")
    server.runs[0]["recorded"], server.looks[run.run_id] = "no-driver", [1]
    ended = run.wait()
    assert (ended.steps, ended.failure) == ([], Failure("", "no service account"))
    assert ended.not_run == ["ingest", "train", "gate", "register", "finish"]


def test_reason_and_results_in_the_notes(
    server: KfpServer,
    kube: KubeServer,
    packages: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = main_container("Failed", terminated={"exitCode": 1, "message": WORDS})
    kube.add_pod(f"{TRAIN}(0)", **words)
    run = Watched(server, packages["one"], "failed")
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path / "state"))
    monkeypatch.setenv("FASHION_RUN_ID", run.run_id)
    notebook = StatusStore()
    notebook.write(StepStatus("ingest", 1.0, "done", line="1,000 images"))
    notebook.write(StepStatus("train", 2.0, "failed", error="the disk is full", hint="empty it"))
    ended = run.wait()
    assert ended.failure == Failure("train", "the disk is full", "empty it")
    assert ended.results == {"ingest": "1,000 images"}


def test_step_that_was_killed(
    server: KfpServer, packages: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Watched(server, packages["one"], "failed")
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path / "state"))
    monkeypatch.setenv("FASHION_RUN_ID", run.run_id)
    StatusStore().write(StepStatus("train", 2.0))
    failure = run.wait().failure
    assert failure
    assert failure.error.startswith("it was killed")


def test_server_that_is_away_for_a_while(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Watched(server, packages["one"], "passed")
    server.faults = [
        Fault(run.run_id, 503, "restarting", "text/plain", times=3, after=after) for after in (0, 5)
    ]
    assert run.wait(patience=3).state == "SUCCEEDED"
    assert run.told == PASSED
    server.faults.append(Fault(run.run_id, 503, "gone", "text/plain", times=4))
    with pytest.raises(UnreachableError, match="the run goes on"):
        run.wait(patience=3)


def argo(phase: str, recorded: str = "passed", now: int = 1000) -> dict[str, Any]:
    """Argo's workflow of a recorded run: its nodes are KFP's tasks, in Argo's words."""
    words = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "SKIPPED": "Skipped", "RUNNING": "Running"}
    nodes = {
        str(number): {
            "name": f"wf.{number}",
            "type": "DAG",
            "displayName": task["display_name"],
            "phase": words.get(task.get("state", ""), "Omitted"),
            "startedAt": task["start_time"],
            "finishedAt": task["end_time"],
            "children": [child["pod_name"] for child in task.get("child_tasks", ())],
        }
        for number, task in enumerate(replay(recorded, now)["run_details"]["task_details"])
        if task.get("display_name")
    }
    times = {"startedAt": "2026-11-21T21:00:00Z", "finishedAt": None}
    if phase != "Running":
        times["finishedAt"] = "2026-11-21T21:01:25Z"
    return {"spec": {}, "status": {"phase": phase, "nodes": nodes, **times}}


@pytest.mark.parametrize("away", [False, True], ids=["kfp-says-running", "kfp-is-away"])
def test_argo_is_believed_where_kfp_does_not_come_to_an_end(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path], away: bool
) -> None:
    run = Watched(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError, match="after 0 s"):
        run.wait(timeout=0, grace=0)
    kube.workflow = argo("Succeeded")
    with pytest.raises(ClusterError, match="after 0 s"):  # KFP may be a little behind
        run.wait(timeout=0, grace=60)
    if away:
        server.faults.append(Fault(run.run_id, 503, "gone", "text/plain", after=1))
    ended = run.wait(grace=0.05 if away else 0)
    assert (ended.state, ended.seconds, ended.failure) == ("SUCCEEDED", 85.0, None)
    assert [(step.step, step.state) for step in ended.steps] == [
        (step, "done") for step in ("ingest", "train", "gate", "register", "finish")
    ]
    kfp_says = "does not answer" if away else "still says running"
    assert run.said[-1] == f"Argo has ended the run (succeeded), KFP's API {kfp_says}"


def test_argo_is_believed_where_kfp_never_answers(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    run = Watched(server, packages["one"], "passed")
    server.faults.append(Fault(run.run_id, 503, "gone", "text/plain"))
    kube.workflow = argo("Succeeded")
    ended = run.wait(grace=0)
    assert (ended.state, ended.seconds, ended.steps, ended.failure) == ("SUCCEEDED", 85.0, [], None)


def test_failure_that_argo_alone_knows(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    run = Watched(server, packages["one"], "failed")
    server.looks[run.run_id] = [30]
    kube.workflow = argo("Failed", "failed")
    kube.faults_of[f"{TRAIN}(1)"] = "OOMKilled"
    ended = run.wait(grace=0)
    assert ended.state == "FAILED"
    assert ended.failure == Failure("train", "OOMKilled", "it had too little memory: --memory")
    assert ended.not_run == ["gate", "register"]
    kube.workflow["spec"] = {"activeDeadlineSeconds": 0}
    assert run.wait(grace=0).state == "STOPPED"


def test_while_kfp_is_away_argo_is_looked_at(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    run = Watched(server, packages["one"], "passed")
    server.looks[run.run_id] = [26, 86]
    server.faults = [Fault(run.run_id, 503, "restarting", "text/plain", times=50, after=1)]
    kube.workflow = argo("Running", now=55)
    assert run.wait(patience=3).state == "SUCCEEDED"
    assert run.told[:3] == ["ingest running", "ingest done", "train done"]
    away, back = run.said
    assert "503" in away
    assert back == "KFP's API answers again"


def test_cluster_that_is_away_costs_the_reasons_alone(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    kube.faults.append(Fault("", 403, "{}"))
    run = Watched(server, packages["one"], "passed")
    assert run.wait().state == "SUCCEEDED"
    assert run.told == PASSED
    assert len(kube.calls) == 3  # then it is left in peace


def test_cluster_that_is_away_for_a_while(kube: KubeServer) -> None:
    pods = Pods("kubeflow")
    name = kube.add_pod(TRAIN, **main_container("Running", running={}))
    kube.faults = [Fault("/pods", 503, "{}", times=2, after=after) for after in (0, 1)]
    seen = [[pod.name for pod in pods.of_run("id")] for _ in range(6)]
    assert seen == [[], [], [name], [], [], [name]]


def test_time_is_up(server: KfpServer, kube: KubeServer, packages: dict[str, Path]) -> None:
    kube.add_pod(f"{TRAIN}(0)", **unscheduled(NO_NODE))
    run = Watched(server, packages["one"], "passed")
    server.looks[run.run_id] = [40]
    with pytest.raises(ClusterError) as caught:
        run.wait(timeout=0)
    assert f"train is waiting for a node: {NO_NODE}" in str(caught.value)
    assert run.run_id in caught.value.hint
    assert server.calls_of("POST", ":terminate") == []


def test_unknown_run(server: KfpServer) -> None:
    with pytest.raises(ClusterError, match="nope not found"):
        wait_until_ended(Kfp(server.url), "nope", print, limits=Limits(poll=0))
