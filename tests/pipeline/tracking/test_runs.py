"""Runs, on a real MLflow server and on the embedded store."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

from components.common.errors import redacted
from pipeline.project import Project as ProjectPaths
from pipeline.steps import run_step
from pipeline.tracking.runs import Folders, Tracker
from tests.support.mlflow_server import Server, runs
from tests.support.project import MODEL, NETWORK, Project
from tests.support.s3_server import set_environment


def test_a_store_that_is_empty_gets_the_whole_run_from_the_files(served: Project, client: MlflowClient):
    (run,) = runs(client)
    training = served.json("outputs/train/training.json")
    metrics = served.json("outputs/evaluate/metrics.json")

    assert run.info.status == "FINISHED"
    assert run.data.params["train.epochs"] == "2"
    assert run.data.params["model.name"] == NETWORK
    assert run.data.tags["run_key"] == training["run_key"]
    assert run.data.tags["gate"] == "passed"
    assert run.data.tags["mlflow.source.git.commit"] == served.git("rev-parse", "HEAD").strip()
    assert run.data.tags["git.dirty"] == "false"
    assert {f"test_{name}": value for name, value in metrics.items()}.items() <= run.data.metrics.items()
    history = client.get_metric_history(run.info.run_id, "val_accuracy")
    assert [point.step for point in history] == [1, 2]
    assert history[-1].value == training["validation"]["accuracy"]
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.digest == training["data_version"]
    artifacts = {
        a.path
        for step in ("validate", "evaluate", "gate")
        for a in client.list_artifacts(run.info.run_id, step)
    }
    assert {
        "validate/report.html",
        "evaluate/report.html",
        "evaluate/confusion_matrix.png",
        "gate/gate.md",
    } <= artifacts


def test_what_belongs_to_another_model_is_not_written_to_a_run(served: Project, client: MlflowClient):
    path = served.root / "outputs" / "evaluate" / "evaluation.json"
    path.write_text(json.dumps(served.json("outputs/evaluate/evaluation.json") | {"weights_digest": "other"}))
    (before,) = runs(client)

    assert "not of the same weights" in served.fashion("step", "register", code=1).stderr

    assert runs(client)[0].data.to_dictionary() == before.data.to_dictionary()


def test_a_run_whose_maker_was_killed_is_completed(served: Project, client: MlflowClient):
    training = served.json("outputs/train/training.json")
    client.delete_run(runs(client)[0].info.run_id)
    experiment = client.get_experiment_by_name(MODEL)
    half = client.create_run(experiment.experiment_id, tags={"run_key": training["run_key"]})
    uri = served.environment["MLFLOW_TRACKING_URI"].replace("://", "://somebody:secret@")

    result = served.fashion("step", "register", MLFLOW_TRACKING_URI=uri)

    assert "secret" not in result.stdout + result.stderr
    (run,) = runs(client)
    assert run.info.run_id == half.info.run_id
    assert run.data.params["train.epochs"] == "2"
    assert run.inputs.dataset_inputs[0].dataset.digest == training["data_version"]


def test_other_weights_of_the_same_content_are_another_run(
    served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    """Another kind of processor, or XLA, may give other weights; the first model keeps its run as it is."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    (before,) = runs(client)
    outputs = served.root / "outputs"
    for name in ("train/training", "evaluate/evaluation", "gate/gate"):
        content = served.json(f"outputs/{name}.json") | {"weights_digest": "others", "verdict": "rejected"}
        (outputs / f"{name}.json").write_text(json.dumps(content))
    folders = Folders(*(outputs / step for step in ("validate", "train", "evaluate", "gate")))
    tracker = Tracker(served.root, MODEL)

    made = {tracker.record(folders) for _ in range(2)}

    assert client.get_run(before.info.run_id).data.to_dictionary() == before.data.to_dictionary()
    (other,) = (run for run in runs(client) if run.info.run_id != before.info.run_id)
    assert made == {other.info.run_id}
    assert (other.data.tags["weights_digest"], other.data.tags["gate"]) == ("others", "rejected")
    assert len(client.get_metric_history(other.info.run_id, "loss")) == 2


def test_a_training_that_fails_does_not_touch_a_run_that_is_finished(
    served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    description = served.json("outputs/train/training.json")

    with pytest.raises(ZeroDivisionError), Tracker(served.root, MODEL).training(description):
        _ = 1 / 0

    assert [run.info.status for run in runs(client)] == ["FINISHED"]


def test_a_server_in_trouble_has_not_lost_the_files(
    served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    from components.register.step import find_version

    digest = served.json("outputs/train/training.json")["weights_digest"]
    found = find_version(client, MODEL, digest)
    assert found is not None

    def fail(*_: object) -> None:
        raise MlflowException("503 Service Unavailable")

    monkeypatch.setattr(MlflowArtifactsRepository, "list_artifacts", fail)
    with pytest.raises(MlflowException):
        find_version(client, MODEL, digest)


@pytest.mark.slow
def test_a_lost_embedded_store_is_filled_again_by_dvc_repro(project: Project):
    assert project.reproduce() == []

    shutil.rmtree(project.root / "mlruns")
    assert project.reproduce() == ["register"]

    client = MlflowClient(f"sqlite:///{project.root}/mlruns/mlflow.db")
    assert client.get_model_version_by_alias(MODEL, "champion").run_id == runs(client)[0].info.run_id
    (run,) = runs(client)
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(project.root / "mlruns")


def test_ctrl_c_in_the_middle_of_a_write_does_not_lock_the_store(trained: Project, tmp_path: Path):
    """Ctrl-C comes while an epoch is written: the write ends, and the run is marked as killed."""
    script = (
        "import json, os, signal, sys\n"
        "from pathlib import Path\n"
        "from sqlalchemy import Engine, event\n"
        "from pipeline.tracking.runs import Tracker\n"
        "description = json.load(open(sys.argv[1]))\n"
        "tracker = Tracker(Path('.').resolve(), 'interrupted')\n"
        "row = dict.fromkeys(('loss', 'accuracy', 'val_loss', 'val_accuracy', 'learning_rate'), 1.0)\n"
        "with tracker.training(description) as on_epoch:\n"
        "    @event.listens_for(Engine, 'after_cursor_execute', once=True)\n"
        "    def interrupt(*_):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    on_epoch(row | {'epoch': 1.0, 'images_per_second': 1.0})\n"
    )
    training = trained.root / "outputs/train/training.json"
    result = subprocess.run(
        [sys.executable, "-c", script, str(training)],
        cwd=tmp_path,
        env=trained.environment | {"PYTHONPATH": str(trained.root)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )

    assert "KeyboardInterrupt" in result.stderr
    assert "locked" not in result.stderr
    (run,) = runs(MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db"), "interrupted")
    assert run.info.status == "KILLED"
    assert run.data.metrics["loss"] == 1.0


@pytest.mark.slow
def test_a_server_that_dies_during_training_does_not_cost_the_model(served: Project, mlflow_server: Server):
    shutil.rmtree(served.root / "outputs" / "train")
    served.change("train", "epochs", 3)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline.steps import Project, run_step\n"
        "from pipeline.tracking.runs import Tracker\n"
        "import components.train.callbacks as callbacks\n"
        "end = callbacks.EpochLog.on_epoch_end\n"
        "def on_epoch_end(self, epoch, logs=None):\n"
        "    if epoch == 1: os.killpg(int(sys.argv[1]), signal.SIGKILL)\n"
        "    end(self, epoch, logs)\n"
        "callbacks.EpochLog.on_epoch_end = on_epoch_end\n"
        "project = Project(Path('.').resolve()); run_step('train', project, project.params())"
    )

    served.run(sys.executable, "-c", script, str(mlflow_server.process.pid))

    assert (served.root / "outputs/train/model.keras").exists()
    assert served.json("outputs/train/training.json")["params"]["train"]["epochs"] == 3
    assert "cannot be reached" in served.fashion("step", "evaluate", code=7).stderr


def test_a_password_is_not_displayed():
    assert redacted("https://user:secret@host:8080/mlflow") == "https://host:8080/mlflow"
    assert redacted("sqlite:////a/b.db") == "sqlite:////a/b.db"


def test_a_deleted_run_of_the_same_content_is_restored(
    served: Project, client: MlflowClient, mlflow_server: Server
):
    (before,) = runs(client)
    client.delete_run(before.info.run_id)

    with set_environment({"MLFLOW_TRACKING_URI": mlflow_server.url}):
        project = ProjectPaths(served.root)
        run_step("register", project, project.params())

    (after,) = runs(client)
    assert after.info.run_id == before.info.run_id == client.get_model_version(MODEL, "1").run_id
