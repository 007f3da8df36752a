"""What the pictures of the model card show."""

from pathlib import Path

import numpy as np
import pytest

from components.common.report import image_grid
from components.register.card_pictures import (
    Predictions,
    calibration,
    calibration_plot,
    confused_images,
    read_predictions,
)
from tests.support.model_card import IMAGES, made_up_run


@pytest.fixture
def predictions(tmp_path: Path) -> Predictions:
    folders = made_up_run(tmp_path, ["a", "b", "c"])
    return read_predictions(folders["evaluated"] / "predictions.csv", ["a", "b", "c"])


def test_the_confused_images_are_those_of_the_pair_the_most_confident_first(predictions: Predictions):
    picture = confused_images(IMAGES, predictions, actual=1, predicted=0)

    assert picture == image_grid(IMAGES[[6, 7, 5]], ["6: 80%", "7: 70%", "5: 50%"], columns=6)


def test_no_more_than_six_images_of_a_pair_are_shown():
    many = Predictions(np.ones(8, int), np.zeros(8, int), np.full(8, 0.9))

    shown = confused_images(IMAGES, many, actual=1, predicted=0)

    assert shown == image_grid(IMAGES[:6], [f"{i}: 90%" for i in range(6)], columns=6)


def test_a_bin_holds_the_images_above_its_lower_end_up_to_its_upper_end():
    confidence = np.array([0.5, 0.6, 0.51, 1.0, 0.901, 0.0])
    right = np.array([1, 1, 0, 1, 1, 0])

    bins = calibration(Predictions(right, np.ones(6, int), confidence))

    assert [(b.number, b.images, b.accuracy) for b in bins] == [
        (0, 1, 0.0),
        (4, 1, 1.0),
        (5, 2, 0.5),
        (9, 2, 1.0),
    ]
    assert [b.confidence for b in bins] == pytest.approx([0.0, 0.5, 0.555, 0.9505])
    assert bins[2].interval == pytest.approx((0.0945, 0.9055), abs=1e-4)


def test_the_bins_of_a_run(predictions: Predictions):
    first, *_, last = calibration(predictions)

    assert (first.number, first.images, first.confidence, first.accuracy) == (4, 1, 0.5, 0.0)
    assert first.interval == pytest.approx((0.0, 0.7935), abs=1e-4)
    assert (last.number, last.images, last.accuracy) == (9, 3, 1.0)
    assert last.interval == pytest.approx((0.4385, 1.0), abs=1e-4)


def test_the_plot_is_drawn_from_the_bins_alone(predictions: Predictions):
    order = np.arange(len(IMAGES))[::-1]
    reversed_order = Predictions(
        predictions.actual[order], predictions.predicted[order], predictions.confidence[order]
    )
    one_less = Predictions(predictions.actual[1:], predictions.predicted[1:], predictions.confidence[1:])

    assert calibration_plot(reversed_order) == calibration_plot(predictions) != calibration_plot(one_less)
