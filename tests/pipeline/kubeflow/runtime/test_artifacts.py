"""KFP's artifacts, filled from the files of a pipeline run: values, metadata, and a file for each."""

import json
from pathlib import Path

import pytest
from kfp import dsl

from components.register.step import outcome_file
from pipeline.kubeflow.runtime import artifacts
from tests.support.project import Project


def test_model_and_metrics_of_a_training(trained: Project, tmp_path: Path):
    training = trained.json("outputs/train/training.json")
    model, metrics = (
        dsl.Model(uri=str(trained.root / "outputs" / "train")),
        dsl.Metrics(uri=str(tmp_path / "metrics")),
    )

    artifacts.fill_training(model, metrics)

    assert model.framework == "keras"
    assert model.metadata["weights_digest"] == training["weights_digest"]
    assert model.metadata["epochs"] == training["params"]["train"]["epochs"]
    assert metrics.metadata["validation_accuracy"] == training["validation"]["accuracy"]
    times = trained.json("outputs/train/performance.json")
    assert metrics.metadata["train_seconds"] == times["train_seconds"]
    assert (tmp_path / "metrics").is_file()  # else KFP's local cache would not serve it


def test_metrics_and_confusion_matrix_of_an_evaluation(trained: Project, tmp_path: Path):
    evaluation = trained.json("outputs/evaluate/evaluation.json")
    folder = dsl.Artifact(uri=str(trained.root / "outputs" / "evaluate"))
    metrics, matrix, report = (
        kind(uri=str(tmp_path / kind.__name__)) for kind in (dsl.Metrics, dsl.ClassificationMetrics, dsl.HTML)
    )

    artifacts.fill_evaluation(folder, metrics, matrix)
    artifacts.fill_report(folder, report)

    assert evaluation["metrics"].items() <= metrics.metadata.items()
    rows = matrix.metadata["confusionMatrix"]["rows"]
    assert [row["row"] for row in rows] == evaluation["confusion_matrix"]
    assert Path(matrix.path).is_file()
    assert "<html" in Path(report.path).read_text()


@pytest.mark.parametrize("verdict", ["passed", "rejected"])
def test_table_and_verdict_of_the_gate(tmp_path: Path, verdict: str):
    content = {"verdict": verdict, "sentence": f"{verdict}: why", "weights_digest": "ff"}
    (tmp_path / "gate.json").write_text(json.dumps(content))
    (tmp_path / "gate.md").write_text("| rule |\n")
    folder, table = dsl.Artifact(uri=str(tmp_path)), dsl.Markdown(uri=str(tmp_path / "table"))

    assert artifacts.fill_verdict(folder, table) == (verdict == "passed")

    assert folder.metadata == content
    assert Path(table.path).read_text() == "| rule |\n"


def test_metadata_of_a_registration_leaves_out_null(tmp_path: Path):
    registration = dsl.Artifact(uri=str(tmp_path / "registration"))
    outcome = {"version": 1, "alias": "champion", "reason": None}
    outcome_file(Path(registration.path)).write_text(json.dumps(outcome))

    artifacts.fill_registration(registration)

    assert registration.metadata == {"version": 1, "alias": "champion"}
