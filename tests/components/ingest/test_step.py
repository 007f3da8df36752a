"""Ingest: which files are fetched, which are refused."""

import gzip
import shutil
from pathlib import Path

import pytest

from components.common.errors import DataError
from components.common.files import data_version
from components.ingest.sources import FolderSource, HttpSource
from components.ingest.step import ingest
from tests.support.data_files import LABELS, flip
from tests.support.ports import free_port

FAR = HttpSource(f"http://127.0.0.1:{free_port()}/")
"""A source that cannot be reached."""


def test_a_folder_where_a_file_belongs_is_refused_and_kept(
    tmp_path: Path, subset: Path, expected: dict[str, str]
):
    data = Path(shutil.copytree(subset, tmp_path / "data"))
    name = next(iter(expected))
    (data / name).unlink()
    (data / name).mkdir()

    with pytest.raises(DataError, match=f"{name} is a folder"):
        ingest(data, expected, [FolderSource(subset)], replace=True)

    assert (data / name).is_dir()


def test_only_missing_files_are_fetched(tmp_path: Path, subset: Path, expected: dict[str, str]):
    data, partial_source = tmp_path / "data", tmp_path / "source"
    shutil.copytree(subset, data)
    (data / LABELS).unlink()
    partial_source.mkdir()
    shutil.copy(subset / LABELS, partial_source)

    ingest(data, expected, [FolderSource(partial_source)])

    assert data_version(data) == data_version(subset)


@pytest.mark.parametrize("damage", ["flip", "truncate", "gzip"])
def test_damaged_bytes_of_a_source_are_refused_by_name(
    tmp_path: Path, packed: Path, expected: dict[str, str], damage: str
):
    target = packed / f"{LABELS}.gz"
    content = gzip.decompress(target.read_bytes())
    if damage == "flip":
        target.write_bytes(gzip.compress(content[:-1] + bytes([content[-1] ^ 1])))
    elif damage == "truncate":
        target.write_bytes(gzip.compress(content[:-1]))
    else:
        target.write_bytes(target.read_bytes()[:-20])

    with pytest.raises(DataError, match=LABELS):
        ingest(tmp_path / "data", expected, [FolderSource(packed)])

    assert not (tmp_path / "data").exists()
    assert not list(tmp_path.glob(".*partial*"))


def test_a_changed_byte_in_place_is_refused_and_replaced_only_on_request(
    tmp_path: Path, subset: Path, expected: dict[str, str]
):
    data = tmp_path / "data"
    shutil.copytree(subset, data)
    flip(data / LABELS)
    changed = data_version(data)

    with pytest.raises(DataError, match=LABELS):
        ingest(data, expected, [FolderSource(subset)])
    assert data_version(data) == changed

    ingest(data, expected, [FolderSource(subset)], replace=True)
    assert data_version(data) == data_version(subset)


def test_a_foreign_file_is_refused(tmp_path: Path, subset: Path, expected: dict[str, str]):
    data = tmp_path / "data"
    shutil.copytree(subset, data)
    (data / "notes.txt").write_text("mine")

    with pytest.raises(DataError, match=r"notes.txt does not belong"):
        ingest(data, expected, [FolderSource(subset)], replace=True)
    assert (data / "notes.txt").exists()


def test_with_no_source_left_the_error_names_them_all_and_says_what_to_do(
    tmp_path: Path, expected: dict[str, str]
):
    empty = tmp_path / "empty"
    empty.mkdir()

    with pytest.raises(DataError) as refused:
        ingest(tmp_path / "data", expected, [FAR, FolderSource(empty)])

    assert FAR.name in str(refused.value)
    assert str(empty) in str(refused.value)
    assert "fashion data --from FOLDER" in refused.value.hint
