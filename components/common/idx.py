"""The IDX format of the MNIST family: a big-endian header, then unsigned bytes.

Source: http://yann.lecun.com/exdb/mnist/ , "The IDX file format".
"""

import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from components.common.errors import SUBMIT_ANEW, DataError, counted

Split = Literal["train", "test"]
Kind = Literal["images", "labels"]
Bytes = npt.NDArray[np.uint8]
Probabilities = npt.NDArray[np.float32]

SPLITS: tuple[Split, ...] = ("train", "test")
KINDS: tuple[Kind, ...] = ("images", "labels")
MAGIC: dict[Kind, int] = {"images": 0x00000803, "labels": 0x00000801}
"""Two zero bytes, 0x08 for unsigned bytes, and the number of dimensions."""

_HINT = "`fashion data` fetches the data set again and verifies it"
_CLUSTER_HINT = (
    f"{SUBMIT_ANEW}; if the error stays, this version of the data is damaged: --param data_version=…"
)


def file_name(split: Split, kind: Kind) -> str:
    """The name under which upstream publishes the file."""
    return f"{'train' if split == 'train' else 't10k'}-{kind}-idx{MAGIC[kind] & 0xFF}-ubyte"


FILE_NAMES = tuple(file_name(split, kind) for split in SPLITS for kind in KINDS)


@dataclass(frozen=True)
class Header:
    """The header of an IDX file, and the number of bytes that follow it in the file."""

    magic: int
    shape: tuple[int, ...]
    data_bytes: int

    @property
    def expected_bytes(self) -> int:
        """The number of bytes of an array of this shape."""
        return prod(self.shape)


def read_header(path: Path) -> Header:
    """Reads an IDX header. The shape is empty if the magic number is unknown.

    Raises:
        DataError: The file is missing or too short for a header.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = struct.unpack(">I", file.read(4))[0]
            rank = magic & 0xFF if magic in MAGIC.values() else 0
            shape = struct.unpack(f">{rank}I", file.read(4 * rank))
    except FileNotFoundError:
        raise DataError(f"{path} is missing", _HINT, _CLUSTER_HINT) from None
    except struct.error:
        raise DataError(f"{path} is too short for an IDX header", _HINT, _CLUSTER_HINT) from None
    return Header(magic, shape, size - 4 - 4 * rank)


def read(path: Path, kind: Kind) -> Bytes:
    """Reads one IDX file.

    Returns:
        uint8, `(n, height, width)` for images and `(n,)` for labels.

    Raises:
        DataError: The file is missing, or its magic number or size is wrong.
    """
    header = read_header(path)
    if header.magic != MAGIC[kind]:
        raise DataError(
            f"{path} has the magic number 0x{header.magic:08x}; IDX {kind} start with 0x{MAGIC[kind]:08x}",
            _HINT,
            _CLUSTER_HINT,
        )
    if header.data_bytes != header.expected_bytes:
        raise DataError(
            f"{path} holds {header.data_bytes:,} bytes of data; "
            f"its header {header.shape} asks for {header.expected_bytes:,}",
            _HINT,
            _CLUSTER_HINT,
        )
    content = np.fromfile(path, np.uint8, offset=4 + 4 * len(header.shape))
    try:
        return content.reshape(header.shape)
    except ValueError as error:  # no images, of a size beyond numpy's; or the file was cut meanwhile
        raise DataError(f"{path} cannot be read as {header.shape}: {error}", _HINT, _CLUSTER_HINT) from None


def read_split(folder: Path, split: Split, classes: int | None = None) -> tuple[Bytes, Bytes]:
    """Reads a split's images `(n, height, width)` and labels `(n,)`, both uint8.

    Raises:
        DataError: A file is damaged, the two have different counts, or a label is not below `classes`.
    """
    images = read(folder / file_name(split, "images"), "images")
    labels = read(folder / file_name(split, "labels"), "labels")
    if len(images) != len(labels):
        raise DataError(
            f"{folder}: {counted(len(images), f'{split} image')}, {counted(len(labels), 'label')}",
            _HINT,
            _CLUSTER_HINT,
        )
    if classes is not None and labels.max(initial=0) >= classes:
        raise DataError(
            f"{split} has the label {labels.max()}, params.yaml names {classes} classes",
            "correct data.classes in params.yaml, or the data",
            "correct data.classes in params.yaml, or the data, and submit the run again",
        )
    return images, labels


def write(path: Path, array: Bytes) -> None:
    """Writes a uint8 array as an IDX file."""
    header = struct.pack(f">I{array.ndim}I", 0x0800 | array.ndim, *array.shape)
    path.write_bytes(header + np.ascontiguousarray(array, np.uint8).tobytes())
