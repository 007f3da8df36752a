"""The four data files, damaged or compressed."""

import gzip
import shutil
from pathlib import Path

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
