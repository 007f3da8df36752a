"""The resnet models: layers, and the whitening kernel."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.common import idx
from components.train.network import layer_table, megaflops
from components.train.resnet import residual, whitening_kernel
from components.train.settings import Shape
from pipeline.models import build_plain
from pipeline.params import Params

SHAPE = Shape(28, 28, 10, 0.286, 0.353, 5e-4)


def test_the_resnet_has_a_frozen_front_and_three_residual_stages(subset_params: Params):
    network = build_plain("resnet-s", subset_params.data)
    convolutions = [(row.shape, row.parameters) for row in layer_table(network) if row.kind == "Conv2D"]
    frozen = [layer.name for layer in network.layers if not layer.trainable]

    assert convolutions == [
        ((14, 14, 32), 4 * 4 * 32),
        ((14, 14, 48), 32 * 48),
        *[((14, 14, 48), 9 * 48 * 48)] * 2,
        ((14, 14, 96), 9 * 48 * 96),
        *[((7, 7, 96), 9 * 96 * 96)] * 2,
        ((7, 7, 128), 9 * 96 * 128),
        *[((7, 7, 128), 9 * 128 * 128)] * 2,
    ]
    assert sum(row.kind == "Add" for row in layer_table(network)) == 3
    assert frozen == ["whitening"]


@pytest.mark.parametrize(("height", "width"), [(28, 28), (8, 8), (12, 17)])
def test_with_strides_of_4_all_stages_are_at_a_quarter_of_the_size(height: int, width: int):
    import keras

    shape = replace(SHAPE, height=height, width=width)
    network = residual(shape, keras.layers.BatchNormalization, (16, 32, 32), strides=4)
    sizes = {row.shape[:2] for row in layer_table(network) if row.kind == "Conv2D"}

    assert sizes == {(math.ceil(height / 4), math.ceil(width / 4))}
    assert network(np.zeros((2, height, width), np.uint8)).shape == (2, 10)
    if height == 28:  # a sixteenth of the arithmetic of resnet-s, as the proxy's docstring says
        whole = residual(shape, keras.layers.BatchNormalization, (48, 96, 128))
        assert 15 < megaflops(whole) / megaflops(network) < 17


def test_the_front_whitens_patches(subset: Path):
    images, _ = idx.read_split(subset, "train")
    kernel = whitening_kernel(images, SHAPE, 1)
    pixels = (images[:500] / 255 - SHAPE.pixel_mean) / SHAPE.pixel_std
    patches = np.lib.stride_tricks.sliding_window_view(pixels, (4, 4), (1, 2)).reshape(-1, 16)

    responses = patches @ kernel.reshape(16, 32)

    assert kernel.shape == (4, 4, 1, 32)
    np.testing.assert_array_equal(kernel[..., 16:], -kernel[..., :16])
    second_moments = responses[:, :16].T @ responses[:, :16] / len(responses)
    off_diagonal = second_moments - np.diag(np.diag(second_moments))
    assert np.abs(off_diagonal).max() < 0.1
    assert np.diag(second_moments)[-8:] == pytest.approx(np.ones(8), abs=0.15)
