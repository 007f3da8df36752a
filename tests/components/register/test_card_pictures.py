"""What the pictures of the model card show."""

from pathlib import Path

import numpy as np
import pytest

from components.common.predictions import Predictions, read_predictions
from components.common.report import image_grid
from components.register.card_pictures import confused_images
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
