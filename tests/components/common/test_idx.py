"""The IDX format."""

from pathlib import Path

import numpy as np
import pytest

from components.common import idx
from components.common.errors import DataError


def test_the_real_files_have_the_published_shapes(real_data: Path):
    train, train_labels = idx.read_split(real_data, "train")
    test, test_labels = idx.read_split(real_data, "test")

    assert train.shape == (60000, 28, 28)
    assert train.dtype == np.uint8
    assert test.shape == (10000, 28, 28)
    assert train_labels[:5].tolist() == [9, 0, 0, 3, 0]  # upstream's first train labels
    assert test_labels[:5].tolist() == [9, 2, 1, 1, 6]


def test_write_and_read_agree_for_other_sizes(tmp_path: Path):
    images = np.arange(2 * 3 * 5, dtype=np.uint8).reshape(2, 3, 5)
    idx.write(tmp_path / "images", images)

    assert (tmp_path / "images").read_bytes()[:16] == bytes.fromhex("00000803000000020000000300000005")
    np.testing.assert_array_equal(idx.read(tmp_path / "images", "images"), images)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\0\0\x08", "too short"),
        (bytes.fromhex("00000801"), "too short"),
        (bytes.fromhex("00000801 00000003 0102"), "asks for 3"),
        (bytes.fromhex("00000803 00000001 00000001 00000001 07"), "magic number 0x00000803"),
    ],
)
def test_a_damaged_label_file_is_refused(tmp_path: Path, content: bytes, says: str):
    (tmp_path / "labels").write_bytes(content)

    with pytest.raises(DataError, match=says):
        idx.read(tmp_path / "labels", "labels")
