"""A step inside a pod: its note, its exit code, its retries; and the end of a pipeline run."""

from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.common.errors import DataError, ExitCode, PipelineError, TrackingError
from components.common.files import write_json
from components.select.step import select
from pipeline.kubeflow import pod
from pipeline.kubeflow.finish import finish
from pipeline.kubeflow.form import code_version
from pipeline.kubeflow.notes import Note, Notebook, read_notes
from pipeline.kubeflow.pod import reported
from pipeline.tracking import CHOSEN, Tracker
from tests.conftest import runs
from tests.project import MODEL, Project


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pipeline run with its own state storage."""
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path / "state"))
    monkeypatch.setenv("FASHION_RUN_ID", "run-1")
    monkeypatch.delenv("KFP_RETRY_INDEX", raising=False)
    monkeypatch.setattr(pod, "TERMINATION_LOG", tmp_path / "termination-log")
    return str(tmp_path / "state")


def note(state: str, step: str) -> Note:
    return read_notes(state, "run-1")[step]


def test_a_step_leaves_its_result(state: str):
    with reported("validate", code_version()) as lines:
        assert note(state, "validate").state == "running"
        lines.append("all is well")

    assert (note(state, "validate").state, note(state, "validate").line) == ("done", "all is well")


def test_a_fault_leaves_its_reason_and_its_exit_code(state: str):
    pod.TERMINATION_LOG.touch()

    with pytest.raises(SystemExit) as end, reported("ingest", code_version()):
        raise DataError("a file is missing", "push it")

    assert end.value.code == ExitCode.DATA
    left = note(state, "ingest")
    assert (left.state, left.error, left.hint, left.final) == ("failed", "a file is missing", "push it", True)
    assert pod.TERMINATION_LOG.read_text() == "error: a file is missing\nwhat to do: push it"


def test_a_defect_leaves_its_name_and_is_raised(state: str):
    with pytest.raises(ZeroDivisionError), reported("gate", code_version()):
        _ = 1 / 0

    assert note(state, "gate").error == "ZeroDivisionError: division by zero"


def test_other_code_than_was_submitted_is_refused(state: str):
    ran = False
    with pytest.raises(SystemExit), reported("train", "0123456789abcdef"):
        ran = True

    assert not ran
    assert "0123456789ab" in note(state, "train").error


@pytest.mark.parametrize(("fault", "again"), [(DataError("corrupt"), False), (TrackingError("away"), True)])
def test_only_a_fault_that_may_pass_is_tried_again(
    state: str, fault: PipelineError, again: bool, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SystemExit), reported("ingest", code_version()):
        raise fault
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")
    ran = False

    with suppress(SystemExit), reported("ingest", code_version()):
        ran = True

    assert ran == again
    assert note(state, "ingest").state == ("done" if again else "failed")


def test_a_step_that_was_killed_is_tried_again(state: str, monkeypatch: pytest.MonkeyPatch):
    Notebook().write(Note("train", 0.0))  # running, and never heard of again
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")

    with reported("train", code_version()):
        pass

    assert note(state, "train").state == "done"


@pytest.mark.parametrize("name", ["FASHION_STATE_URL", "FASHION_RUN_ID"])
def test_a_pod_without_its_settings_says_which(
    state: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv(name)

    with pytest.raises(SystemExit), reported("ingest", code_version()):
        pytest.fail("the step ran")

    assert name in capsys.readouterr().err


def test_candidates_of_a_sweep_have_notes_of_their_own(state: str):
    for candidate in ("train.learning_rate=1e-3", "train.learning_rate=1e+3"):
        Notebook().write(Note(f"train {candidate}", 0.0))

    assert len(read_notes(state, "run-1")) == 2


def test_notes_that_cannot_be_kept_do_not_cost_the_step(state: str, tmp_path: Path):
    (tmp_path / "state").write_text("a file where a folder should be")

    with reported("gate", code_version()) as lines:
        lines.append("passed")

    assert lines == ["passed"]


def test_the_end_of_a_failed_run_names_the_step_and_fails_the_mlflow_run(
    state: str, served: Project, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    training = served.json("outputs/train/training.json")
    client.update_run(runs(client)[0].info.run_id, status="FAILED")  # by an earlier pipeline run
    with Tracker(tmp_path, MODEL).training(training):
        assert runs(client)[0].info.status == "RUNNING"
    assert runs(client)[0].info.status == "FINISHED"
    Notebook().close(Note("train", 0.0), state="done", line="trained")
    Notebook().close(Note("evaluate", 1.0), state="failed", error="a file is missing", hint="push it")

    finish("FAILED", MODEL, tmp_path / "summary.md")

    text = (tmp_path / "summary.md").read_text()
    assert text.splitlines()[0] == "**failed** in evaluate: a file is missing; what to do: push it"
    (run,) = runs(client)
    assert (run.info.status, run.data.tags["kubeflow_run.run-1"]) == ("FAILED", "claimed")
    assert run.info.run_id in text

    # The same content, run again to its end, is the same run, and whole again.
    served.fashion("step", "register")
    assert runs(client)[0].info.status == "FINISHED"


@pytest.mark.parametrize("cached", [True, False])
def test_a_failure_later_on_leaves_a_run_that_was_finished_before(
    state: str,
    served: Project,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cached: bool,
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    tracker, training = Tracker(tmp_path, MODEL), served.json("outputs/train/training.json")
    if not cached:  # a new commit trains the same content anew
        with tracker.training(training):
            pass
        Notebook().close(Note("train", 0.0), state="done", line="trained")
    tracker.claim(training, CHOSEN)
    Notebook().close(Note("evaluate", 0.0), state="failed", error="the disk is full")

    finish("FAILED", MODEL, tmp_path / "summary.md")

    assert [run.info.status for run in runs(client)] == ["FINISHED"]
    assert "test accuracy" not in (tmp_path / "summary.md").read_text()  # it is of an earlier pipeline run


@pytest.mark.parametrize("chosen", [None, "second"])
def test_a_sweep_that_fails_after_its_trainings_fails_the_run_that_it_has_chosen(
    state: str,
    served: Project,
    client: MlflowClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chosen: str | None,
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    tracker, training = Tracker(tmp_path, "sweep"), served.json("outputs/train/training.json")
    for name in ("first", "second", "third"):
        with tracker.training(training | {"run_key": name, "weights_digest": name}):
            pass
        Notebook().close(Note(f"train {name}", 0.0), state="done", line="trained")
    if chosen:
        tracker.claim({"run_key": chosen}, CHOSEN)

    finish("FAILED", "sweep", tmp_path / "summary.md")

    status = {run.data.tags["run_key"]: run.info.status for run in runs(client, "sweep")}
    assert status == dict.fromkeys(("first", "second", "third"), "FINISHED") | (
        {chosen: "FAILED"} if chosen else {}
    )
    told = [run for run in runs(client, "sweep") if run.info.run_id in (tmp_path / "summary.md").read_text()]
    assert [run.data.tags["run_key"] for run in told] == ([chosen] if chosen else [])


def test_the_summary_is_about_the_model_that_the_gate_judged(
    state: str, served: Project, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    experiment = runs(client)[0].info.experiment_id
    for name in ("first", "second"):  # candidates that an earlier run has evaluated
        loser = client.create_run(experiment, tags={"run_key": name, "gate": "rejected"}, run_name=name)
        client.log_metric(loser.info.run_id, "test_accuracy", 0.8)
        Tracker(tmp_path, MODEL).claim({"run_key": name})
    Tracker(tmp_path, MODEL).claim(served.json("outputs/train/training.json"), "passed")

    finish("SUCCEEDED", MODEL, tmp_path / "summary.md")

    text = (tmp_path / "summary.md").read_text()
    accuracy = served.json("outputs/evaluate/metrics.json")["accuracy"]
    assert f"| {accuracy:.2%}" in text
    assert "rejected" not in text


def test_the_end_of_a_run_never_fails(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (tmp_path / "state").write_text("a file where a folder should be")

    finish("FAILED", MODEL, tmp_path / "summary.md")

    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("**failed**")
    assert "127.0.0.1:9" in text


def test_a_killed_step_is_named(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    Notebook().close(Note("validate", 0.0), state="done", line="fine")
    Notebook().write(Note("train", 1.0))

    finish("FAILED", MODEL, tmp_path / "summary.md")

    headline = (tmp_path / "summary.md").read_text().splitlines()[0]
    assert headline.startswith("**failed** in train: it was killed")


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
