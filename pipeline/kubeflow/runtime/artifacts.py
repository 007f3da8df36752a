"""KFP's artifacts of a step, as KFP's UI shows them, filled from the files that the step wrote."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.files import read_json
from components.common.performance import read_performance

if TYPE_CHECKING:
    from kfp import dsl


def fill_report(folder: dsl.Artifact, html: dsl.HTML) -> None:
    """The step's HTML report."""
    shutil.copy(Path(folder.path) / "report.html", html.path)


def fill_training(model: dsl.Model, metrics: dsl.Metrics) -> None:
    """The metadata of the model, the validation metrics, and what the training took."""
    training = read_json(Path(model.path) / "training.json", "train")
    model.framework = "keras"
    model.metadata |= {
        "model": training["params"]["model"]["name"],
        **{name: training["params"]["train"][name] for name in ("epochs", "seed")},
        **{name: training[name] for name in ("parameters", "weights_digest", "data_version", "run_key")},
    }
    validation = {f"validation_{name}": value for name, value in training["validation"].items()}
    performance = read_performance(Path(model.path), training["weights_digest"])
    performance.pop("epochs", None)
    _log(metrics, validation | performance)


def fill_evaluation(folder: dsl.Artifact, metrics: dsl.Metrics, matrix: dsl.ClassificationMetrics) -> None:
    """The metrics and the confusion matrix of the test set."""
    evaluation = read_json(Path(folder.path) / "evaluation.json", "evaluate")
    _log(metrics, evaluation["metrics"])
    matrix.log_confusion_matrix(evaluation["task"]["classes"], evaluation["confusion_matrix"])
    _write_file(matrix)


def fill_verdict(folder: dsl.Artifact, table: dsl.Markdown) -> bool:
    """The table of the gate's rules. Returns whether the model passed."""
    gate = read_json(Path(folder.path) / "gate.json", "gate")
    folder.metadata |= {name: gate[name] for name in ("verdict", "sentence", "weights_digest")}
    shutil.copy(Path(folder.path) / "gate.md", table.path)
    return bool(gate["verdict"] == "passed")


def fill_registration(file: dsl.Artifact) -> None:
    """The metadata of the registration."""
    from components.register.step import outcome_file

    registration = read_json(outcome_file(Path(file.path)), "register")
    file.metadata |= {name: value for name, value in registration.items() if value is not None}


def _log(metrics: dsl.Metrics, figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        metrics.log_metric(name, float(value))
    _write_file(metrics)


def _write_file(artifact: dsl.Artifact) -> None:
    """KFP's local cache serves an artifact only if it has a file."""
    Path(artifact.path).write_text("{}", encoding="utf-8")
