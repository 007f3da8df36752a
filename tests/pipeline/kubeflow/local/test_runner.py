"""The results of the steps in KFP's local runner, and the line that sums up the run."""

import os
import shutil
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipeline.kubeflow.local.console import Tasks
from pipeline.kubeflow.local.runner import NO_REASON, Step, outcome, run_local, step_results
from pipeline.kubeflow.runtime.entrypoint import status_kept
from pipeline.kubeflow.runtime.environment import LOCAL
from pipeline.kubeflow.runtime.step_parameters import code_version
from pipeline.kubeflow.runtime.step_status import StepStatus
from tests.support.project import ROOT


def statuses_in(*given: StepStatus) -> dict[str, StepStatus]:
    return {status.step: status for status in given}


def done(step: str) -> StepStatus:
    return StepStatus(step, 0.0, "done", 2.0, f"{step}: well")


def ran(step: str) -> Step:
    return Step(step, "ran", 2.0, f"{step}: well")


CACHED = ["parameters", "ingest", "validate", "train", "evaluate"]
FROM_CACHE = [Step(name, "from cache") for name in CACHED]


def test_a_step_that_began_and_stored_no_status_failed():
    tasks = Tasks(cached=CACHED, started=["gate", "finish"], succeeded=["finish"])

    steps = step_results("train", {}, tasks)

    assert steps == [*FROM_CACHE, Step("gate", "failed", line=NO_REASON), Step("register", "not run")]
    assert outcome(False, {}, steps) == f"failed in gate: {NO_REASON}"


def test_a_rejected_model_is_not_registered():
    statuses = statuses_in(StepStatus("gate", 0.0, "done", 2.0, "gate: rejected: accuracy 0.1"))
    tasks = Tasks(CACHED, ["gate", "finish"], ["gate", "finish"])

    steps = step_results("train", statuses, tasks)

    assert steps[5:] == [
        Step("gate", "ran", 2.0, "gate: rejected: accuracy 0.1"),
        Step("register", "skipped"),
    ]
    assert outcome(True, statuses, steps) == "rejected: accuracy 0.1"


def test_the_step_that_left_a_reason_is_the_one_to_name():
    statuses = statuses_in(
        done("parameters"), StepStatus("ingest", 0.0, "failed", 1.0, error="no remote", hint="name it")
    )
    tasks = Tasks([], ["parameters", "ingest", "finish"], ["parameters"])

    steps = step_results("train", statuses, tasks)

    assert steps == [
        ran("parameters"),
        Step("ingest", "failed", 1.0, "no remote; what to do: name it"),
        *(Step(name, "not run") for name in ("validate", "train", "evaluate", "gate", "register")),
        Step("finish", "failed", line=NO_REASON),
    ]
    assert outcome(False, statuses, steps) == "failed in ingest: no remote; what to do: name it"


def test_finish_is_named_where_it_alone_failed():
    statuses = statuses_in(done("gate"), done("register"))
    tasks = Tasks(CACHED, ["gate", "register", "finish"], ["gate", "register"])

    steps = step_results("train", statuses, tasks)

    assert steps == [*FROM_CACHE, ran("gate"), ran("register"), Step("finish", "failed", line=NO_REASON)]
    assert outcome(False, statuses, steps) == f"failed in finish: {NO_REASON}"


def test_a_sweep_tells_how_many_trainings_the_cache_had():
    rest = ["select", "evaluate", "gate", "register"]
    started = ["parameters", "plan", "train", *rest]
    statuses = statuses_in(*map(done, ["parameters", "plan", "train train.epochs=2", *rest]))
    tasks = Tasks(["ingest", "validate", "train", "train"], started, started)

    assert step_results("sweep", statuses, tasks) == [
        ran("parameters"),
        Step("ingest", "from cache"),
        ran("plan"),
        Step("validate", "from cache"),
        ran("train train.epochs=2"),
        Step("train", "from cache", line="2 of 3"),
        *map(ran, rest),
    ]


def test_a_sweeps_training_without_a_status_failed_beside_one_that_ran():
    tasks = Tasks(["parameters", "ingest", "plan", "validate"], ["train", "train"], ["train"])

    steps = step_results("sweep", statuses_in(done("train train.epochs=1")), tasks)

    assert steps[4:] == [
        ran("train train.epochs=1"),
        Step("train", "failed", line=NO_REASON),
        *(Step(name, "not run") for name in ("select", "evaluate", "gate", "register")),
    ]


def test_run_local_gives_the_hints_of_a_machine(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (LOCAL, "MLFLOW_TRACKING_URI", "PYTHONPATH", "PATH"):  # what it sets is undone afterwards
        monkeypatch.setenv(name, os.environ.get(name, ""))
    for name in ("params.yaml", "data.dvc"):
        shutil.copy(ROOT / name, tmp_path / name)

    def execute(*_: object) -> tuple[bool, Tasks]:
        with pytest.raises(SystemExit), status_kept("ingest", code_version()):
            raise PipelineError("wrong", "mend it here", "mend it there")
        return False, Tasks()

    monkeypatch.setattr("pipeline.tracking.runs.Tracker", lambda *_: None)
    monkeypatch.setattr("pipeline.kubeflow.local.runner._execute", execute)
    result = run_local(tmp_path, ["remote=s3://bucket"])
    assert result.headline == "failed in ingest: wrong; what to do: mend it here"
