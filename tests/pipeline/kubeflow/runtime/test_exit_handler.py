"""The exit handler: the summary of a pipeline run, and the status of its MLflow run."""

from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.kubeflow.runtime.exit_handler import close_run
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus
from pipeline.tracking.runs import CHOSEN, Tracker
from tests.support.mlflow_server import runs
from tests.support.project import MODEL, Project


@pytest.fixture
def pod(state: str, served: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The trained project, and the environment of a pod: MLflow server and state storage."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    return served


def test_the_summary_of_a_failed_run_names_the_step_and_fails_the_mlflow_run(
    pod: Project, client: MlflowClient, tmp_path: Path
):
    new = pod.json("outputs/train/training.json") | {"run_key": "new"}
    del new["weights_digest"]
    with Tracker(tmp_path, "new").training(new):
        assert runs(client, "new")[0].info.status == "RUNNING"
    assert runs(client, "new")[0].info.status == "FINISHED"
    StatusStore().close(StepStatus("train", 0.0), state="done", line="trained")
    StatusStore().close(
        StepStatus("evaluate", 1.0), state="failed", error="a file is missing", hint="push it"
    )

    close_run("FAILED", "new", tmp_path / "summary.md")

    text = (tmp_path / "summary.md").read_text()
    assert text.splitlines()[0] == "**failed** in evaluate: a file is missing; what to do: push it"
    (run,) = runs(client, "new")
    assert (run.info.status, run.data.tags["kubeflow_run.run-1"]) == ("FAILED", "claimed")
    assert run.info.run_id in text


def test_of_two_pipeline_runs_on_one_training_the_first_to_finish_it_answers_for_it(
    pod: Project, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    new = pod.json("outputs/train/training.json") | {"run_key": "new"}
    del new["weights_digest"]
    tracker = Tracker(tmp_path, "new")
    with suppress(ZeroDivisionError), ExitStack() as late:
        with tracker.training(new):
            monkeypatch.setenv("FASHION_RUN_ID", "run-2")
            late.enter_context(tracker.training(new))
            monkeypatch.setenv("FASHION_RUN_ID", "run-1")
        tracker.claim(new, "passed")
        client.log_metric(runs(client, "new")[0].info.run_id, "test_accuracy", 0.9)
        monkeypatch.setenv("FASHION_RUN_ID", "run-2")
        _ = 1 / 0

    close_run("FAILED", "new", tmp_path / "summary.md")  # of run-2

    (run,) = runs(client, "new")
    assert (run.info.status, run.data.tags["made_by"]) == ("FINISHED", "run-1")
    monkeypatch.setenv("FASHION_RUN_ID", "run-1")
    close_run("FAILED", "new", tmp_path / "summary.md")  # for example in register
    assert runs(client, "new")[0].info.status == "FAILED"


def test_a_training_that_is_killed_does_not_run_for_ever(
    pod: Project, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    new = pod.json("outputs/train/training.json") | {"run_key": "new"}
    tracker = Tracker(tmp_path, "new")
    tracker._ensure_run(new)  # it never ends
    monkeypatch.setenv("FASHION_RUN_ID", "run-2")
    tracker.claim(new)
    monkeypatch.setenv("FASHION_RUN_ID", "run-1")

    close_run("FAILED", "new", tmp_path / "summary.md")

    assert runs(client, "new")[0].info.status == "FAILED"


@pytest.mark.parametrize("cached", [True, False])
def test_a_failure_later_on_leaves_a_run_that_was_finished_before(
    pod: Project,
    client: MlflowClient,
    tmp_path: Path,
    cached: bool,
):
    tracker, training = Tracker(tmp_path, MODEL), pod.json("outputs/train/training.json")
    if not cached:  # a new commit trains the same content anew
        with tracker.training(training):
            pass
        StatusStore().close(StepStatus("train", 0.0), state="done", line="trained")
    tracker.claim(training, CHOSEN)
    StatusStore().close(StepStatus("evaluate", 0.0), state="failed", error="the disk is full")

    close_run("FAILED", MODEL, tmp_path / "summary.md")

    assert [run.info.status for run in runs(client)] == ["FINISHED"]
    assert "test accuracy" not in (tmp_path / "summary.md").read_text()  # it is of an earlier pipeline run


@pytest.mark.parametrize("chosen", [None, "second"])
def test_a_sweep_that_fails_after_its_trainings_fails_the_run_that_it_has_chosen(
    pod: Project,
    client: MlflowClient,
    tmp_path: Path,
    chosen: str | None,
):
    tracker, training = Tracker(tmp_path, "sweep"), pod.json("outputs/train/training.json")
    del training["weights_digest"]
    for name in ("first", "second", "third"):
        with tracker.training(training | {"run_key": name}):
            pass
        StatusStore().close(StepStatus(f"train {name}", 0.0), state="done", line="trained")
    if chosen:
        tracker.claim({"run_key": chosen}, CHOSEN)

    close_run("FAILED", "sweep", tmp_path / "summary.md")

    status = {run.data.tags["run_key"]: run.info.status for run in runs(client, "sweep")}
    assert status == dict.fromkeys(("first", "second", "third"), "FINISHED") | (
        {chosen: "FAILED"} if chosen else {}
    )
    in_summary = [
        run for run in runs(client, "sweep") if run.info.run_id in (tmp_path / "summary.md").read_text()
    ]
    assert [run.data.tags["run_key"] for run in in_summary] == ([chosen] if chosen else [])


def test_the_summary_is_about_the_model_that_the_gate_judged(
    pod: Project, client: MlflowClient, tmp_path: Path
):
    experiment = runs(client)[0].info.experiment_id
    for name in ("first", "second"):  # candidates that an earlier run has evaluated
        loser = client.create_run(experiment, tags={"run_key": name, "gate": "rejected"}, run_name=name)
        client.log_metric(loser.info.run_id, "test_accuracy", 0.8)
        Tracker(tmp_path, MODEL).claim({"run_key": name})
    Tracker(tmp_path, MODEL).claim(pod.json("outputs/train/training.json"), "passed")

    close_run("SUCCEEDED", MODEL, tmp_path / "summary.md")

    text = (tmp_path / "summary.md").read_text()
    accuracy = pod.json("outputs/evaluate/metrics.json")["accuracy"]
    assert f"| {accuracy:.2%}" in text
    assert "rejected" not in text


def test_the_end_of_a_run_never_fails(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (tmp_path / "state").write_text("a file where a folder should be")

    close_run("FAILED", MODEL, tmp_path / "summary.md")

    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("**failed**")
    assert "127.0.0.1:9" in text


def test_a_killed_step_is_named(state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    StatusStore().close(StepStatus("validate", 0.0), state="done", line="fine")
    StatusStore().write(StepStatus("train", 1.0))

    close_run("FAILED", MODEL, tmp_path / "summary.md")

    headline = (tmp_path / "summary.md").read_text().splitlines()[0]
    assert headline.startswith("**failed** in train: it was killed")
