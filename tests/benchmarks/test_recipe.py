"""The trials of the recipe: their augmentations, and trials with many options."""

import subprocess
import sys

import numpy as np
import pytest

from components.common.tensorflow import import_tensorflow
from tests.support.project import ROOT

import_tensorflow()


def test_cutmix_takes_pixels_and_targets_of_the_next_image_in_the_same_share():
    import tensorflow as tf

    from benchmarks.recipe.batches import cutmix

    values = tf.constant([10, 20, 30], tf.uint8)
    images = tf.tile(values[:, None, None], [1, 28, 28])

    mixed, targets = cutmix(images, tf.eye(3), tf.constant([[0.5, 0.5, 0.5]] * 3))

    share = (mixed.numpy()[0] == 30).mean()
    assert share == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(targets, np.eye(3) * (1 - share) + np.roll(np.eye(3), 1, axis=0) * share)


def test_dirac_filters_begin_as_the_identity():
    import keras

    from benchmarks.recipe.network import dirac

    images = np.random.default_rng(1).normal(size=(2, 6, 6, 4)).astype(np.float32)
    layer = keras.layers.Conv2D(6, 3, padding="same", use_bias=False, kernel_initializer=dirac)

    np.testing.assert_allclose(layer(images)[..., :4], images, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("slow_weights", ["--lookahead 5", "--average .9 --activation gelu"])
def test_a_trial_with_many_options_prints_its_row(slow_weights: str):
    options = (
        "--epochs 0.1 --optimizer muon --momentum .95 --filters-l2 0 --proxy 8,16,16 --proxy-from .5 "
        "--shift 1 --cutout 4 --erase .5 --cutmix-epochs .05 --small .3 --front bias "
        "--scale frozen --bias-rate 8 --filters dirac --widths 16,16,16 " + slow_weights
    )
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.recipe", *options.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    cells = result.stdout.splitlines()[-1].split(" | ")
    assert cells[0] == f"| `{options}`"
    assert len(cells) == 8
    assert all(0.05 < float(cell.split(", ")[0]) < 1 for cell in cells[1:4])


def test_two_kinds_of_slow_weights_are_refused():
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.recipe", "--lookahead", "5", "--average", ".9"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2
    assert "give one of them" in result.stderr
