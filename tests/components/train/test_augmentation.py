"""Augmentations: what they change, and how much of it."""

import numpy as np
import pytest

from components.common.tensorflow import import_tensorflow

import_tensorflow()

import tensorflow as tf  # noqa: E402

from components.train.augmentation import cut, erase, shift  # noqa: E402


def draws(count: int, numbers: int) -> tf.Tensor:
    return tf.random.stateless_uniform([count, numbers], [1, 2])


def test_shifts_move_the_whole_image_by_up_to_so_many_pixels():
    images = np.zeros((4000, 5, 5), np.uint8)
    images[:, 2, 2] = 255
    shifted = shift(tf.constant(images), 2, draws(4000, 2)).numpy()

    places = np.argwhere(shifted == 255)
    assert len(places) == 4000
    found, counts = np.unique(places[:, 1:], axis=0, return_counts=True)
    assert found.tolist() == [[y, x] for y in range(5) for x in range(5)]
    assert counts.min() > 100  # 160 each, standard deviation 12.4


def test_cutout_sets_a_square_to_the_value():
    images = tf.zeros((500, 9, 9), tf.uint8)
    changed = cut(images, 4, tf.constant(100, tf.uint8), draws(500, 2)).numpy()

    assert set(np.unique(changed)) == {0, 100}
    sizes = [(int(rows.any(axis=1).sum()), int(rows.any(axis=0).sum())) for rows in changed == 100]
    assert all(2 <= height <= 4 and 2 <= width <= 4 for height, width in sizes)
    assert (4, 4) in sizes
    assert all((image == 100).sum() == h * w for image, (h, w) in zip(changed, sizes, strict=True))


def test_erasing_sets_a_rectangle_of_2_to_40_percent_to_noise():
    height, width = 28, 20
    numbers = draws(500, 5)

    noise = erase(tf.zeros((500, height, width), tf.uint8), 0.5, numbers).numpy()

    changed = (noise > 0).any(axis=(1, 2))
    assert changed.mean() == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(changed, numbers.numpy()[:, 4] < 0.5)
    boxes = []
    for image in noise[changed]:
        rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        box = image[top:bottom, left:right]
        boxes.append((top, bottom, left, right))
        assert 0.01 < box.size / (height * width) < 0.45
        assert (box > 0).mean() > 0.8  # the noise is black in one of 256 pixels
    tops, bottoms, lefts, rights = np.transpose(boxes)
    assert (tops.min(), bottoms.max(), lefts.min(), rights.max()) == (0, height, 0, width)
    ratios = (bottoms - tops) / (rights - lefts)
    assert ratios.min() < 0.5
    assert ratios.max() > 2
    assert noise.max() == 255
    first, others = noise[changed][:1], noise[changed][1:]
    assert (first != others)[(first > 0) & (others > 0)].mean() > 0.9  # each image has noise of its own
