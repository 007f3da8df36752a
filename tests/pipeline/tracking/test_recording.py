"""What is recorded in a run, on a real store."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.common.files import write_json
from pipeline.tracking.recording import flatten, record_files, record_metrics


@pytest.fixture
def client(tmp_path: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{tmp_path}/store.db")


def test_files_are_uploaded_once_and_measured_times_are_not_among_them(client: MlflowClient, tmp_path: Path):
    experiment = client.create_experiment("e", (tmp_path / "artifacts").as_uri())
    run = client.create_run(experiment)
    folder = tmp_path / "train"
    for name in ("training.json", "performance.json"):  # the times may be of another model
        write_json(folder / name, {"name": name})
    (folder / "model.keras").write_text("the registry has it")

    tags = record_files(client, run, "train", folder)

    assert [file.path for file in client.list_artifacts(run.info.run_id, "train")] == ["train/training.json"]
    for tag, digest in tags.items():
        client.set_tag(run.info.run_id, tag, digest)
    write_json(folder / "performance.json", {"train_seconds": 2.0})
    (tmp_path / "artifacts" / run.info.run_id / "artifacts" / "train" / "training.json").unlink()
    assert record_files(client, client.get_run(run.info.run_id), "train", folder) == tags
    assert client.list_artifacts(run.info.run_id, "train") == []  # it was not uploaded again


def test_a_metric_is_logged_when_it_has_changed(client: MlflowClient):
    run = client.create_run("0")
    for value in (0.5, 0.5, 0.6):
        record_metrics(client, client.get_run(run.info.run_id), {"test_accuracy": value})

    history = client.get_metric_history(run.info.run_id, "test_accuracy")
    assert [metric.value for metric in history] == [0.5, 0.6]


def test_parameters_are_flattened():
    content = {"train": {"epochs": 2, "flip": True, "l2": None}, "name": "a"}
    assert flatten(content) == {"train.epochs": "2", "train.flip": "true", "train.l2": "null", "name": "a"}
