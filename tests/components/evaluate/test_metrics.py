"""The metrics, against hand-made data and published examples."""

import numpy as np
import pytest

from components.evaluate.metrics import measure


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
    assert details["classes"]["a"] == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(2 / 3),
        "recall_interval": pytest.approx((0.2077, 0.9385), abs=1e-4),
        "f1": pytest.approx(2 / 3),
        "images": 3,
    }
    assert details["classes"]["b"]["precision"] == pytest.approx(0.5)
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0.5 + 1) / 3)
    assert metrics["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.7, 0.4, 1.0]).mean(), rel=1e-6)


def test_a_class_that_is_not_in_the_test_set_does_not_count_as_the_worst():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)

    metrics, _ = measure(probabilities, np.zeros(2, np.uint8), ["seen", "unseen"], bins=10)

    assert metrics["worst_recall"] == 1.0
