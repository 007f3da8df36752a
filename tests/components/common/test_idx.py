"""The IDX format."""

import struct
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def read_bytes(folder: Path, content: bytes, kind: idx.Kind) -> idx.Bytes | None:
    """What a file with this content holds; None if the reader refuses it."""
    path = folder / "file"
    path.write_bytes(content)
    try:
        return idx.read(path, kind)
    except DataError:
        return None


SIZES = st.one_of(st.integers(0, 4), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1]))


@st.composite
def idx_files(draw: st.DrawFn) -> bytes:
    """Headers, also of sizes that the file does not have, before any bytes, cut anywhere."""
    magic = draw(st.sampled_from([*idx.MAGIC.values(), 0, 0x0802, 0x0D03]))
    shape = draw(st.lists(SIZES, max_size=4))
    content = struct.pack(f">I{len(shape)}I", magic, *shape) + draw(st.binary(max_size=70))
    return content[: draw(st.integers(0, len(content)))]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(content=idx_files(), kind=st.sampled_from(idx.KINDS))
def test_any_file_is_read_or_refused_as_data(content: bytes, kind: idx.Kind):
    with TemporaryDirectory() as folder:
        array = read_bytes(Path(folder), content, kind)

    if array is not None:
        header = struct.pack(f">I{array.ndim}I", idx.MAGIC[kind], *array.shape)
        assert header + array.tobytes() == content


@pytest.mark.parametrize("shape", [(0, 2**32 - 1, 2**32 - 1), (2**32 - 1, 0, 2**32 - 1)])
def test_a_size_without_images_is_refused(tmp_path: Path, shape: tuple[int, ...]):
    """The file holds the 0 bytes that its header asks for."""
    assert read_bytes(tmp_path, struct.pack(">4I", 0x0803, *shape), "images") is None


def test_a_header_that_claims_4_gb_takes_no_memory(tmp_path: Path):
    content = struct.pack(">4I", 0x0803, 5_500_000, 28, 28) + bytes(9)
    tracemalloc.start()
    try:
        assert read_bytes(tmp_path, content, "images") is None
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
