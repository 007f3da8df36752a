"""The files of the subset as sources of data have them."""

import gzip
from pathlib import Path

import pytest

from components.common.files import file_digest
from tests.support.data_files import mixed_files


@pytest.fixture
def expected(subset: Path) -> dict[str, str]:
    return {path.name: file_digest(path, "sha256") for path in sorted(subset.iterdir())}


@pytest.fixture
def packed(subset: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "packed"
    folder.mkdir()
    for path in subset.iterdir():
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    return folder


@pytest.fixture
def mixed(subset: Path, tmp_path: Path) -> Path:
    return mixed_files(subset, tmp_path / "mixed")
