"""The stream of training batches: a function of seed and epoch."""

from typing import Any

import numpy as np
import pytest

from components.common import idx
from components.common.tensorflow import import_tensorflow
from components.train.settings import Settings

import_tensorflow()

from components.train.batches import training_batches  # noqa: E402


def batches(images: idx.Bytes, labels: idx.Bytes, **options: Any) -> list[tuple[Any, Any]]:
    place: dict[str, Any] = {"first_epoch": 0, "steps": 4, "seed": 1}
    place |= {name: options.pop(name) for name in place.keys() & options.keys()}
    own = Settings(epochs=2, batch_size=8, optimizer="sgd", learning_rate=0.1)
    settings = own.override(options)
    return [(x.numpy(), y.numpy()) for x, y in training_batches(images, labels, 10, settings, **place)]


@pytest.fixture(scope="module")
def numbered() -> tuple[idx.Bytes, idx.Bytes]:
    """32 images of 2x2 pixels whose left column holds their number, and their labels."""
    images = np.zeros((32, 2, 2), np.uint8)
    images[:, :, 0] = np.arange(1, 33, dtype=np.uint8)[:, None]
    return images, (np.arange(32) % 10).astype(np.uint8)


def test_each_epoch_is_a_new_order_of_all_images(numbered: tuple[idx.Bytes, idx.Bytes]):
    images, labels = numbered
    stream = batches(images, labels)

    numbers = [int(n) for x, _ in stream for n in x[:, 0, 0]]
    first, second = numbers[:32], numbers[32:]
    assert sorted(first) == sorted(second) == list(range(1, 33))
    assert first != second
    for x, y in stream:
        np.testing.assert_array_equal(y.argmax(axis=1), labels[x[:, 0, 0] - 1])


def test_the_order_is_a_function_of_seed_and_epoch(numbered: tuple[idx.Bytes, idx.Bytes]):
    def order(**options: Any) -> list[int]:
        return [int(n) for x, _ in batches(*numbered, **options) for n in x[:, 0, 0]]

    assert order() == order()
    assert order(epochs=3)[:64] == order()
    assert order(seed=2) != order()


def test_flips_alternate_from_epoch_to_epoch(numbered: tuple[idx.Bytes, idx.Bytes]):
    stream = batches(*numbered, flip=True)
    mirrored = [
        {int(x.max()): bool(x[0, 1]) for batch, _ in stream[start : start + 4] for x in batch}
        for start in (0, 4)
    ]

    assert 0 < sum(mirrored[0].values()) < 32
    assert all(mirrored[0][number] != mirrored[1][number] for number in range(1, 33))


def test_an_epoch_is_the_same_whether_training_starts_at_it_or_comes_to_it(
    numbered: tuple[idx.Bytes, idx.Bytes],
):
    options: dict[str, Any] = {"epochs": 3, "flip": True, "shift": 1, "cutout": 1, "erase": 0.5}
    whole, rest = batches(*numbered, **options), batches(*numbered, first_epoch=1, **options)

    for (x, y), (x_rest, y_rest) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(x, x_rest)
        np.testing.assert_array_equal(y, y_rest)


@pytest.mark.parametrize("augmentation", [{"shift": 1}, {"cutout": 1}, {"erase": 0.5}])
def test_augmentations_are_applied_and_differ_from_epoch_to_epoch(augmentation: dict[str, Any]):
    images = np.arange(1, 82, dtype=np.uint8).reshape(1, 9, 9).repeat(8, axis=0)
    first, second = (x for x, _ in batches(images, np.zeros(8, np.uint8), steps=1, **augmentation))

    assert (first != images).any()
    assert (first != second).any()
    if "cutout" in augmentation:
        assert set(first[first != images]) == {41}  # the mean of all images
