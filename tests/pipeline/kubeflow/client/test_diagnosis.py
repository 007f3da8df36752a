"""Why a run failed: what the step status, the pods, Argo and the logs tell."""

from pathlib import Path

import pytest

from pipeline.kubeflow.client.diagnosis import Failure
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer, main_container
from tests.support.watched_run import (
    INNER,
    TRAIN,
    WatchedRun,
    starts_and_ends,
)

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


def test_failed_without_a_reason(server: KfpServer, packages: dict[str, Path]) -> None:
    run = WatchedRun(server, packages["one"], "failed")
    ended = run.wait()
    assert run.changed_states == [
        *("ingest starting", "ingest cached"),
        *("train starting", "train running", "train starting", "train running", "train failed"),
        *starts_and_ends("finish"),
    ]
    assert (ended.state, ended.not_run) == ("FAILED", ["gate", "register"])
    assert ended.failure == Failure("train", "KFP does not tell why", f"look at {run.kfp.url(run.run_id)}")


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
    assert WatchedRun(server, packages["one"], "failed").wait().failure == expected


def test_driver_that_could_not_be_made(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    kube.faults_of["root-driver"] = "task 'wf.root-driver' errored: no service account"
    run = WatchedRun(server, packages["one"], "passed")
    server.runs[0]["recorded"], server.looks[run.run_id] = "no-driver", [1]
    ended = run.wait()
    assert (ended.steps, ended.failure) == ([], Failure("", "no service account"))
    assert ended.not_run == ["ingest", "train", "gate", "register", "finish"]


def test_reason_and_results_in_the_step_statuses(
    server: KfpServer,
    kube: KubeServer,
    packages: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = main_container("Failed", terminated={"exitCode": 1, "message": WORDS})
    kube.add_pod(f"{TRAIN}(0)", **words)
    run = WatchedRun(server, packages["one"], "failed")
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path / "state"))
    monkeypatch.setenv("FASHION_RUN_ID", run.run_id)
    store = StatusStore()
    store.write(StepStatus("ingest", 1.0, "done", line="1,000 images"))
    store.write(StepStatus("train", 2.0, "failed", error="the disk is full", hint="empty it"))
    ended = run.wait()
    assert ended.failure == Failure("train", "the disk is full", "empty it")
    assert ended.results == {"ingest": "1,000 images"}


def test_step_that_was_killed(
    server: KfpServer, packages: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = WatchedRun(server, packages["one"], "failed")
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path / "state"))
    monkeypatch.setenv("FASHION_RUN_ID", run.run_id)
    StatusStore().write(StepStatus("train", 2.0))
    failure = run.wait().failure
    assert failure
    assert failure.error.startswith("it was killed")
