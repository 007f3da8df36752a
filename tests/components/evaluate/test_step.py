"""The evaluate step: figures against hand-made data, and the saved model as its only source."""

import csv

import numpy as np
import pytest

from components.common import idx
from components.common.errors import DataError, PipelineError
from components.common.files import read_json
from components.evaluate.step import evaluate
from pipeline.params import Params
from tests.support.project import Project


def test_what_is_written_agrees_with_itself(trained: Project):
    out = trained.root / "outputs" / "evaluate"
    evaluation = read_json(out / "evaluation.json", "evaluate")
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))

    assert [int(row["index"]) for row in rows] == list(range(500))
    right = sum(row["actual"] == row["predicted"] for row in rows)
    assert evaluation["metrics"]["accuracy"] == right / 500
    assert np.trace(evaluation["confusion_matrix"]) == right
    assert np.sum(evaluation["confusion_matrix"]) == 500
    shirts = [float(row["p(Shirt)"]) for row in rows if row["predicted"] == "Shirt"]
    assert shirts == [float(row["confidence"]) for row in rows if row["predicted"] == "Shirt"]
    assert read_json(out / "metrics.json", "evaluate") == evaluation["metrics"]
    performance = read_json(out / "performance.json", "evaluate")
    assert 0 < performance["latency_ms_median"] <= performance["latency_ms_p95"]
    for picture in ("confusion_matrix.png", "training_curves.png", "mistakes.png"):
        assert (out / picture).read_bytes().startswith(b"\x89PNG")


def test_another_model_than_the_trained_one_is_refused(project: Project, subset_params: Params):
    import keras

    trained = project.root / "outputs" / "train"
    model = keras.models.load_model(trained / "model.keras")
    model.set_weights([weight * 1.01 for weight in model.get_weights()])
    model.save(trained / "model.keras")

    with pytest.raises(PipelineError, match="has the SHA-256"):
        evaluate(
            project.root / "data", trained, project.root / "new", subset_params.data, subset_params.evaluate
        )
    (trained / "model.keras").write_bytes(b"PK")
    with pytest.raises(PipelineError, match="has the SHA-256"):
        evaluate(
            project.root / "data", trained, project.root / "new", subset_params.data, subset_params.evaluate
        )
    assert not (project.root / "new").exists()


def test_a_test_label_without_a_class_is_refused(project: Project, subset_params: Params):
    path = project.root / "data" / idx.file_name("test", "labels")
    path.write_bytes(path.read_bytes()[:-1] + b"\x0b")

    with pytest.raises(DataError, match="label 11"):
        evaluate(
            project.root / "data",
            project.root / "outputs" / "train",
            project.root / "new",
            subset_params.data,
            subset_params.evaluate,
        )
