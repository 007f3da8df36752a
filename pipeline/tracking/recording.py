"""What a run in MLflow says of a model: curve, metrics, files, data set. Nothing is written twice."""

import csv
import json
import time
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Run

from components.common import performance
from components.common.files import files_digest

HISTORY_METRICS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "images_per_second")
RECORDED_SUFFIXES = {".json", ".html", ".png", ".md", ".csv"}
"""Files of a step that go to the run. Measured times are metrics; the model goes to the registry."""


def log_dataset(client: MlflowClient, run: Run, name: str, description: dict[str, Any]) -> None:
    """Names the data set that a run was trained on, by its DVC hash."""
    shape = description["params"]["data"]
    dataset = Dataset(
        name=name,
        digest=description["data_version"],
        source_type="dvc",
        source=json.dumps({"uri": "data.dvc"}),
        profile=json.dumps({"train_images": shape["train_images"], "test_images": shape["test_images"]}),
    )
    client.log_inputs(run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def logged_epochs(client: MlflowClient, run_id: str) -> set[int]:
    """The epochs of which the run has the metrics."""
    return {metric.step for metric in client.get_metric_history(run_id, "loss")}


def epoch_metrics(row: dict[str, float]) -> list[Metric]:
    """The metrics of an epoch."""
    now = int(time.time() * 1000)
    return [Metric(name, row[name], now, int(row["epoch"])) for name in HISTORY_METRICS if name in row]


def record_history(client: MlflowClient, run_id: str, path: Path, measured: list[dict[str, float]]) -> None:
    """Logs the epochs of `history.csv`, with what was measured of each, that the run lacks."""
    known = logged_epochs(client, run_id)
    with path.open(newline="", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    by_epoch = {row["epoch"]: row for row in measured}
    missing = [
        metric
        for row in rows
        if row["epoch"] not in known
        for metric in epoch_metrics(by_epoch.get(row["epoch"], {}) | row)
    ]
    for start in range(0, len(missing), 900):  # the server takes 1,000 at a time
        client.log_batch(run_id, metrics=missing[start : start + 900])


def comparison_metrics(comparison: dict[str, Any] | None) -> dict[str, float]:
    """The figures of a comparison with the champion, as metrics; none without a champion."""
    if not comparison or comparison["error"]:
        return {}
    names = ("difference", "difference_low", "difference_high", "mcnemar_p", "recall_drop")
    return {"champion_accuracy": comparison["champion_accuracy"]} | {
        f"champion_{name}": comparison[name] for name in names
    }


def record_metrics(client: MlflowClient, run: Run, metrics: dict[str, float]) -> None:
    """Logs the metrics of which the run has another value, or none."""
    now = int(time.time() * 1000)
    changed = [
        Metric(name, value, now, 0) for name, value in metrics.items() if run.data.metrics.get(name) != value
    ]
    client.log_batch(run.info.run_id, metrics=changed)


def record_files(client: MlflowClient, run: Run, step: str, folder: Path) -> dict[str, str]:
    """Uploads a step's small files unless these very files are there; returns the tag that says so."""
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in RECORDED_SUFFIXES and path.name != performance.FILE
    ]
    tag, digest = f"files.{step}", files_digest(files, folder)
    if run.data.tags.get(tag) != digest:
        for path in files:
            client.log_artifact(run.info.run_id, str(path), step)
    return {tag: digest}


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested parameters as MLflow takes them: `{"train.epochs": "2"}`."""
    flat: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat
