"""The model zoo: sizes of the networks, and other data sets."""

import numpy as np
import pytest

from components.train.settings import Shape
from components.train.zoo import MODELS
from pipeline.params import Params


def test_the_networks_have_these_sizes(subset_params: Params):
    from pipeline.models import build_plain

    sizes = {name: build_plain(name, subset_params.data).count_params() for name in MODELS}

    assert sizes == {
        "resnet-s": 661_056,
        "resnet-xs": 335_552,
        "resnet-m": 1_086_400,
        "resnet-gpu": 1_927_552,
        "cnn-32": 173_738,
        "cnn-32-100": 542_230,
        "cnn-64-64-512": 862_410,
        "cnn-3x64-128": 149_642,
        "mlp-128-64": 109_386,
    }


@pytest.mark.parametrize("name", MODELS)
def test_networks_take_other_image_sizes_and_class_counts(name: str):
    import keras

    model = MODELS[name].build(Shape(12, 17, 3, 0.5, 0.2, 0.0), keras.layers.BatchNormalization)

    assert model(np.zeros((2, 12, 17), np.uint8)).shape == (2, 3)
