"""The four data files: a subset, damaged or compressed ones."""

import gzip
import shutil
from pathlib import Path

import numpy as np

from components.common import idx

LABELS = idx.file_name("test", "labels")


def flip(path: Path, offset: int = -1) -> None:
    """Changes a bit of a file."""
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def mixed_files(subset: Path, folder: Path) -> Path:
    """Copies the four files, each with another combination of name and content."""
    folder.mkdir()
    plain, packed, only_named, only_packed = (subset / name for name in idx.FILE_NAMES)
    shutil.copy(plain, folder)
    (folder / f"{packed.name}.gz").write_bytes(gzip.compress(packed.read_bytes()))
    shutil.copy(only_named, folder / f"{only_named.name}.gz")
    (folder / only_packed.name).write_bytes(gzip.compress(only_packed.read_bytes()))
    return folder


def write_subset(data: Path, folder: Path, train_each: int, test_each: int) -> Path:
    """Writes the first images of each class of a data set, as many as said, into a folder that exists."""
    sizes: dict[idx.Split, int] = {"train": train_each, "test": test_each}
    for split, each in sizes.items():
        images, labels = idx.read_split(data, split)
        rows = np.sort(np.concatenate([np.flatnonzero(labels == c)[:each] for c in range(10)]))
        idx.write(folder / idx.file_name(split, "images"), images[rows])
        idx.write(folder / idx.file_name(split, "labels"), labels[rows])
    return folder
