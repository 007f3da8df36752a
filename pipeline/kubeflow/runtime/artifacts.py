"""What the KFP UI shows of a step: from the files that the step wrote, into KFP's artifacts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.files import read_json

if TYPE_CHECKING:
    from kfp import dsl


def report(folder: dsl.Artifact, html: dsl.HTML) -> None:
    """Shows a step's report."""
    _copy(Path(folder.path) / "report.html", html)


def training(model: dsl.Model, metrics: dsl.Metrics) -> None:
    """Shows what came of the training, and says of the model what it is."""
    content = read_json(Path(model.path) / "training.json", "train")
    model.framework = "keras"
    model.metadata |= {
        "model": content["params"]["model"]["name"],
        "epochs": content["params"]["train"]["epochs"],
        "seed": content["params"]["train"]["seed"],
        "parameters": content["parameters"],
        "weights_digest": content["weights_digest"],
        "data_version": content["data_version"],
        "run_key": content["run_key"],
    }
    figures = {f"validation_{name}": value for name, value in content["validation"].items()}
    _log(metrics, figures | content["cost"])


def evaluation(folder: dsl.Artifact, metrics: dsl.Metrics, matrix: dsl.ClassificationMetrics) -> None:
    """Shows the metrics and the confusion matrix of the test set."""
    content = read_json(Path(folder.path) / "evaluation.json", "evaluate")
    _log(metrics, content["metrics"])
    matrix.log_confusion_matrix(content["task"]["classes"], content["confusion_matrix"])
    _touch(matrix)


def verdict(folder: dsl.Artifact, table: dsl.Markdown) -> bool:
    """Shows the gate's rules; returns whether the model passed all of them."""
    content = read_json(Path(folder.path) / "gate.json", "gate")
    folder.metadata |= {name: content[name] for name in ("verdict", "weights_digest")}
    _copy(Path(folder.path) / "gate.md", table)
    return bool(content["verdict"] == "passed")


def registration(file: dsl.Artifact) -> None:
    """Says of the registration what the registry was told."""
    content = read_json(Path(file.path), "register")
    file.metadata |= {name: value for name, value in content.items() if value is not None}


def _log(metrics: dsl.Metrics, figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        metrics.log_metric(name, float(value))
    _touch(metrics)


def _touch(artifact: dsl.Artifact) -> None:
    """KFP's local cache serves only artifacts that have a file."""
    Path(artifact.path).write_text("{}", encoding="utf-8")


def _copy(source: Path, artifact: dsl.Artifact) -> None:
    shutil.copy(source, artifact.path)
