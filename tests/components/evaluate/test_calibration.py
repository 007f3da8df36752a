"""Calibration, against hand-made data and published examples."""

from typing import Any

import numpy as np
import pytest

from components.evaluate.calibration import (
    calibration_error,
    reliability,
    reliability_diagram,
    wilson_interval,
)


def probabilities_of(confidence: list[float]) -> np.ndarray:
    """Two classes, of which the second is predicted."""
    second = np.array(confidence)
    return np.stack([1 - second, second], axis=1)


def test_wilson_interval_of_published_examples():
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_calibration_error_by_hand():
    # Two bins: confidences .6, .8 (one of two right) and, with three classes, .4 (wrong).
    probabilities = np.array([[0.6, 0.4, 0], [0.2, 0.8, 0], [0.4, 0.3, 0.3]], np.float32)
    labels = np.array([0, 0, 1], np.uint8)

    error = calibration_error(reliability(probabilities, labels, bins=2))
    perfect = reliability(np.eye(3, dtype=np.float32), np.arange(3, dtype=np.uint8), bins=15)

    assert error == pytest.approx((0.4 + 0.4) / 3, abs=1e-6)
    assert calibration_error(perfect) == 0


def test_a_bin_holds_the_images_above_its_lower_end_up_to_its_upper_end():
    labels = np.array([1, 1, 0, 1, 1], np.uint8)
    bins = reliability(probabilities_of([0.6, 0.7, 0.61, 1.0, 0.901]), labels, 10)

    assert [(b.number, b.images, b.accuracy) for b in bins] == [(5, 1, 1.0), (6, 2, 0.5), (9, 2, 1.0)]
    assert [b.confidence for b in bins] == pytest.approx([0.6, 0.655, 0.9505])
    assert (bins[1].accuracy_lower, bins[1].accuracy_upper) == pytest.approx((0.0945, 0.9055), abs=1e-4)


def test_the_diagram_shows_the_bins():
    labels = np.array([1, 1, 0, 1, 1], np.uint8)
    found = reliability(probabilities_of([0.6, 0.7, 0.61, 1.0, 0.901]), labels, 10)

    axes: list[Any] = reliability_diagram(found, 10).axes
    upper, lower = axes

    points = [line for line in upper.lines if line.get_marker() == "o"]
    assert [line.get_xydata().tolist() for line in points] == [[[b.confidence, b.accuracy] for b in found]]
    assert [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in lower.patches] == [
        pytest.approx(place) for place in [(0.55, 1), (0.65, 2), (0.95, 2)]
    ]
    intervals = [(b.accuracy_lower, b.accuracy_upper) for b in found]
    drawn = upper.collections[0].get_segments()
    assert [(segment[0][1], segment[1][1]) for segment in drawn] == [pytest.approx(i) for i in intervals]
