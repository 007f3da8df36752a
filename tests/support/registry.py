"""Versions in a real registry that need no training: their predictions are given."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from components.common import idx
from components.common.files import content_key, data_version
from components.registry.champion import Candidate
from components.registry.predictions import keep_predictions
from components.registry.registry import DATA_TAG, GATE_TAG, TASK_TAG, WEIGHTS_TAG, Registry

CLASSES = [str(number) for number in range(10)]
TASK = {"image_size": [28, 28], "classes": CLASSES}


def predictions(data: Path, *, wrong: Sequence[int]) -> idx.Bytes:
    """Predictions for the test images of a data folder: right but for some, which get the next class."""
    _, labels = idx.read_split(data, "test")
    predicted = labels.copy()
    rows = list(wrong)
    predicted[rows] = (labels[rows] + 1) % 10
    return predicted


def add_version(
    registry: Registry, data: Path, predicted: idx.Bytes, digest: str, **tags: str
) -> ModelVersion:
    """Registers a version that keeps these predictions for the test images of a data folder."""
    client = registry.client
    experiment = client.get_experiment_by_name("versions")
    experiment_id = experiment.experiment_id if experiment else client.create_experiment("versions")
    run_id = client.create_run(experiment_id).info.run_id
    logged = client.create_logged_model(experiment_id, name="model", source_run_id=run_id)
    with TemporaryDirectory() as folder:
        (Path(folder) / "data").mkdir()
        (Path(folder) / "data" / "model.keras").write_text("a model")
        client.log_model_artifacts(logged.model_id, folder)
    known = {
        WEIGHTS_TAG: digest,
        DATA_TAG: data_version(data),
        TASK_TAG: content_key(TASK),
        GATE_TAG: "passed",
    }
    version = registry.create_version(f"models:/{logged.model_id}", run_id, logged.model_id, known | tags)
    keep_predictions(client, version, data_version(data), predicted)
    return version


def make_candidate(folder: Path, data: Path, predicted: idx.Bytes, digest: str) -> Candidate:
    """An evaluated model with these predictions; it has no weights."""

    def no_other_data(version: str, _: Path) -> None:
        raise FileNotFoundError(f"no {version} here")

    _, labels = idx.read_split(data, "test")
    evaluation: dict[str, Any] = {
        "weights_digest": digest,
        "data_version": data_version(data),
        "task": TASK,
        "metrics": {"accuracy": float(np.mean(predicted == labels))},
    }
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    with (folder / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["actual", "predicted", "confidence"])
        pairs = zip(labels, predicted, strict=True)
        writer.writerows([[CLASSES[actual], CLASSES[number], 1] for actual, number in pairs])
    (folder / "training.json").write_text(json.dumps({"weights_digest": digest, "model_sha256": ""}))
    return Candidate(data, folder, folder, 500, no_other_data)


def aliases(client: MlflowClient, name: str) -> dict[str, int]:
    """The aliases of a registered model."""
    return {alias: int(number) for alias, number in client.get_registered_model(name).aliases.items()}
