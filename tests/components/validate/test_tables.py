"""The tables that expectations check, computed from the files."""

from pathlib import Path

import numpy as np
import pytest

from components.common import idx
from components.validate.tables import class_table, image_tables, split_table


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three train images, the last a copy of the first, and two test images, the first of them in train."""
    random = np.random.default_rng(0)
    train = random.integers(0, 256, (3, 4, 5)).astype(np.uint8)
    train[2] = train[0]
    test = np.stack([train[1], np.zeros((4, 5), np.uint8)])
    labels: dict[idx.Split, list[int]] = {"train": [0, 2, 0], "test": [2, 0]}
    for split, images in (("train", train), ("test", test)):
        idx.write(tmp_path / idx.file_name(split, "images"), images)  # type: ignore[arg-type]
        idx.write(tmp_path / idx.file_name(split, "labels"), np.array(labels[split], np.uint8))  # type: ignore[arg-type, index]
    return tmp_path


def test_copies_are_found_in_a_split_and_across_splits(data: Path):
    tables = image_tables(data)

    assert tables["train"]["copy_of"].fillna(-1).tolist() == [-1, -1, 0]
    assert tables["test"]["copy_of"].fillna(-1).tolist() == [-1, -1]
    assert tables["test"]["in_train"].fillna(-1).tolist() == [1, -1]


def test_statistics_of_images_and_splits_are_those_of_the_pixels(data: Path):
    tables = image_tables(data)
    pixels = idx.read(data / idx.file_name("train", "images"), "images") / 255

    np.testing.assert_allclose(tables["train"]["mean"], pixels.mean(axis=(1, 2)))
    np.testing.assert_allclose(tables["train"]["std"], pixels.std(axis=(1, 2)))
    row = split_table(tables).iloc[0]
    assert (row["index"], row["images"]) == ("train", 3)
    assert row["pixel_mean"] == pytest.approx(pixels.mean())
    assert row["pixel_std"] == pytest.approx(pixels.std())
    assert row["nonzero_share"] == pytest.approx((pixels > 0).mean())


def test_a_class_without_images_has_the_share_0(data: Path):
    rows = class_table(image_tables(data), ["a", "b", "c"])

    assert rows["index"].tolist()[:3] == ["train: a", "train: b", "train: c"]
    assert rows["count"].tolist() == [2, 0, 1, 1, 0, 1]
    assert rows["share"].tolist() == pytest.approx([2 / 3, 0, 1 / 3, 0.5, 0, 0.5])
