"""A step inside a pod: its status, its exit code, its retries; and the end of a pipeline run."""

from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.common.errors import DataError, ExitCode, PipelineError, TrackingError
from components.common.files import write_json
from components.select.step import select
from pipeline.kubeflow.runtime import entrypoint
from pipeline.kubeflow.runtime.entrypoint import status_kept
from pipeline.kubeflow.runtime.step_parameters import code_version
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus, read_statuses
from pipeline.tracking.runs import Tracker
from tests.support.mlflow_server import runs
from tests.support.project import MODEL, Project


def stored(state: str, step: str) -> StepStatus:
    return read_statuses(state, "run-1")[step]


def test_a_step_leaves_its_result(state: str):
    with status_kept("validate", code_version()) as lines:
        assert stored(state, "validate").state == "running"
        lines.append("all is well")

    assert (stored(state, "validate").state, stored(state, "validate").line) == ("done", "all is well")


def test_a_fault_leaves_its_reason_and_its_exit_code(state: str):
    entrypoint.TERMINATION_LOG.touch()

    with pytest.raises(SystemExit) as end, status_kept("ingest", code_version()):
        raise DataError("a file is missing", "push it")

    assert end.value.code == ExitCode.DATA
    left = stored(state, "ingest")
    assert (left.state, left.error, left.hint, left.final) == ("failed", "a file is missing", "push it", True)
    assert entrypoint.TERMINATION_LOG.read_text() == "error: a file is missing\nwhat to do: push it"


def test_a_defect_leaves_its_name_and_is_raised(state: str):
    with pytest.raises(ZeroDivisionError), status_kept("gate", code_version()):
        _ = 1 / 0

    assert stored(state, "gate").error == "ZeroDivisionError: division by zero"


def test_other_code_than_was_submitted_is_refused(state: str):
    ran = False
    with pytest.raises(SystemExit), status_kept("train", "0123456789abcdef"):
        ran = True

    assert not ran
    assert "0123456789ab" in stored(state, "train").error


@pytest.mark.parametrize(("fault", "again"), [(DataError("corrupt"), False), (TrackingError("away"), True)])
def test_only_a_fault_that_may_pass_is_tried_again(
    state: str, fault: PipelineError, again: bool, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SystemExit), status_kept("ingest", code_version()):
        raise fault
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")
    ran = False

    with suppress(SystemExit), status_kept("ingest", code_version()):
        ran = True

    assert ran == again
    assert stored(state, "ingest").state == ("done" if again else "failed")


def test_a_step_that_was_killed_is_tried_again(state: str, monkeypatch: pytest.MonkeyPatch):
    StatusStore().write(StepStatus("train", 0.0))  # running, and never heard of again
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")

    with status_kept("train", code_version()):
        pass

    assert stored(state, "train").state == "done"


@pytest.mark.parametrize("name", ["FASHION_STATE_URL", "FASHION_RUN_ID"])
def test_a_pod_without_its_settings_says_which(
    state: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv(name)

    with pytest.raises(SystemExit), status_kept("ingest", code_version()):
        pytest.fail("the step ran")

    assert name in capsys.readouterr().err


def test_candidates_of_a_sweep_have_statuses_of_their_own(state: str):
    for candidate in ("train.learning_rate=1e-3", "train.learning_rate=1e+3"):
        StatusStore().write(StepStatus(f"train {candidate}", 0.0))

    assert len(read_statuses(state, "run-1")) == 2


def test_statuses_that_cannot_be_stored_do_not_cost_the_step(state: str, tmp_path: Path):
    (tmp_path / "state").write_text("a file where a folder should be")

    with status_kept("gate", code_version()) as lines:
        lines.append("passed")

    assert lines == ["passed"]


def test_a_run_that_the_platform_made_becomes_the_run_of_the_model(
    served: Project, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    experiment = client.create_experiment("of the platform")
    injected = client.create_run(experiment).info.run_id
    other = client.create_run(experiment).info.run_id
    training = served.json("outputs/train/training.json")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])

    for given in (injected, other):  # the platform makes one for every step
        monkeypatch.setenv("MLFLOW_RUN_ID", given)
        with Tracker(tmp_path, MODEL).training(training):
            pass

    assert client.get_run(injected).data.tags["run_key"] == training["run_key"]
    assert client.get_run(injected).data.params["train.epochs"] == "2"
    assert "run_key" not in client.get_run(other).data.tags
    assert len(runs(client, "of the platform")) == 2


def test_the_best_by_validation_is_selected(tmp_path: Path):
    figures = {
        "a": (0.90, 0.30, "ff"),
        "b": (0.92, 0.31, "ee"),
        "c": (0.92, 0.29, "dd"),
        "d": (0.92, 0.29, "cc"),
    }
    for name, (accuracy, loss, digest) in figures.items():
        training = {"validation": {"accuracy": accuracy, "loss": loss}, "weights_digest": digest}
        write_json(tmp_path / name / "training.json", training | {"data_version": "1.dir"})
        (tmp_path / name / "model.keras").write_text(name)

    best = select([tmp_path / name for name in figures], tmp_path / "best")

    assert best["weights_digest"] == "cc"
    assert (tmp_path / "best" / "model.keras").read_text() == "d"
    write_json(tmp_path / "a" / "training.json", training | {"data_version": "2.dir"})
    with pytest.raises(PipelineError, match="different data"):
        select([tmp_path / name for name in figures], tmp_path / "best")
    with pytest.raises(PipelineError, match="no model"):
        select([], tmp_path / "best")
