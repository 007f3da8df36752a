"""The evaluate step: figures against hand-made data, and the saved model as its only source."""

import csv

import numpy as np
import pytest

from components.common import idx
from components.common.errors import DataError, PipelineError
from components.common.files import read_json
from components.evaluate.metrics import calibration_error, measure, wilson_interval
from components.evaluate.step import evaluate
from pipeline.params import Params
from tests.support.project import Project


def test_wilson_interval_of_published_examples():
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_figures_of_six_images():
    labels = np.array([0, 0, 0, 1, 1, 2], np.uint8)
    probabilities = np.array(
        [[0.9, 0.1, 0], [0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.2, 0.7, 0.1], [0.6, 0.4, 0], [0, 0, 1]],
        np.float32,
    )

    metrics, details = measure(probabilities, labels, ["a", "b", "c"], bins=10)

    assert details["confusion_matrix"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert metrics["accuracy"] == pytest.approx(4 / 6)
    assert metrics["worst_recall"] == pytest.approx(0.5)
    assert details["classes"]["a"] == pytest.approx(
        {"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "images": 3}
    )
    assert details["classes"]["b"]["precision"] == pytest.approx(0.5)
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 1) / 3)
    assert metrics["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.7, 0.4, 1.0]).mean(), rel=1e-6)


def test_calibration_error_by_hand():
    # Two bins: confidences .6, .8 (one of two right) and, with three classes, .4 (wrong).
    probabilities = np.array([[0.6, 0.4, 0], [0.2, 0.8, 0], [0.4, 0.3, 0.3]], np.float32)
    labels = np.array([0, 0, 1], np.uint8)

    assert calibration_error(probabilities, labels, bins=2) == pytest.approx((0.4 + 0.4) / 3, abs=1e-6)
    assert calibration_error(np.eye(3, dtype=np.float32), np.arange(3, dtype=np.uint8), bins=15) == 0


def test_a_class_that_is_not_in_the_test_set_does_not_count_as_the_worst():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)

    metrics, _ = measure(probabilities, np.zeros(2, np.uint8), ["seen", "unseen"], bins=10)

    assert metrics["worst_recall"] == 1.0


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

    with pytest.raises(PipelineError, match="holds the weights"):
        evaluate(
            project.root / "data", trained, project.root / "new", subset_params.data, subset_params.evaluate
        )
    (trained / "model.keras").write_bytes(b"PK")
    with pytest.raises(PipelineError, match="is not a Keras model"):
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
