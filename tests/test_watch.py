"""Waiting for runs: replays of runs that a real KFP recorded, with pods of a small Kubernetes server."""

from pathlib import Path

import pytest

from components.common.errors import ClusterError
from pipeline.kubeflow.client import Kfp
from pipeline.kubeflow.connection import UnreachableError
from pipeline.kubeflow.notes import Note, Notebook
from pipeline.kubeflow.pods import Pods
from pipeline.kubeflow.progress import StepState
from pipeline.kubeflow.reasons import Failure
from pipeline.kubeflow.watch import Ended, watch
from tests.json_server import Fault
from tests.kfp_server import KfpServer
from tests.kube_server import KubeServer, main_container, unscheduled

pytest_plugins = ("tests.kfp_fixtures",)
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

    def wait(self, timeout: float | None = None, patience: int = 0) -> Ended:
        """Waits without a pause between two looks."""
        return watch(self.kfp, self.run_id, self.changes.append, timeout, poll_seconds=0, patience=patience)

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
    assert train == [("starting", "again, after: OOMKilled"), ("running", "try 2"), ("running", "")]


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
    notebook = Notebook()
    notebook.write(Note("ingest", 1.0, "done", line="1,000 images"))
    notebook.write(Note("train", 2.0, "failed", error="the disk is full", hint="empty it"))
    ended = run.wait()
    assert ended.failure == Failure("train", "the disk is full", "empty it")
    assert ended.results == {"ingest": "1,000 images"}


def test_step_that_was_killed(
    server: KfpServer, packages: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Watched(server, packages["one"], "failed")
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path / "state"))
    monkeypatch.setenv("FASHION_RUN_ID", run.run_id)
    Notebook().write(Note("train", 2.0))
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
        watch(Kfp(server.url), "nope", print, poll_seconds=0)
