"""Shards are equal parts of the sorted list of pictures, whatever the order in which a storage lists them."""

from pathlib import Path

import pytest

from components.common.errors import DataError, ParameterError, StorageError
from components.common.s3 import Entry
from components.common.storage import open_storage
from components.predict import shards
from components.predict.shards import (
    Shard,
    entries_key,
    list_pictures,
    pack,
    parse_shard,
    read_listing,
    shard_names,
    unpack,
)

pytest_plugins = ("tests.support.s3_server",)


def test_shards_are_equal_parts_and_leave_nothing_out():
    for pictures, count in ((10, 3), (2, 5), (1_000_003, 1000)):
        rows = [parse_shard(name).rows(pictures) for name in shard_names(count)]

        assert [row for each in rows for row in each] == list(range(pictures))
        assert {len(each) for each in rows} <= {pictures // count, pictures // count + 1}
    assert shard_names(2) == ["1/2", "2/2"]


@pytest.mark.parametrize("name", ["0/2", "3/2", "1", "1/2 ", "1/100000", "a/b"])
def test_no_shard(name: str):
    with pytest.raises(ParameterError):
        parse_shard(name)


@pytest.mark.parametrize("count", [0, -1, 1001])
def test_so_many_shards_are_refused(count: int):
    with pytest.raises(ParameterError, match=f"{count} shards are refused"):
        shard_names(count)


def test_the_list_of_a_bucket_is_sorted_and_has_what_changes_with_the_content(bucket: str):
    storage = open_storage(f"s3://{bucket}/images/")
    for name in ("b.png", "a/2.png", "ä.png", "B.png", "folder/", ""):  # "" is images/ itself
        storage.write(name, name.encode())
    open_storage(f"s3://{bucket}/images-2").write("no", b"")

    listing = list_pictures(storage)

    assert listing["name"].to_pylist() == ["B.png", "a/2.png", "b.png", "ä.png"]
    assert listing["size"].to_pylist() == [5, 7, 5, 6]
    storage.write("b.png", b"other")
    changed = list_pictures(storage)
    assert [a == b for a, b in zip(listing.to_pylist(), changed.to_pylist(), strict=True)] == [
        *(True, True, False, True)
    ]
    assert pack(list_pictures(storage)) == pack(changed) != pack(listing)


def test_an_empty_prefix_and_a_bucket_that_does_not_exist(bucket: str, tmp_path: Path):
    with pytest.raises(DataError, match=f"^there is no picture at s3://{bucket}/images/$"):
        list_pictures(open_storage(f"s3://{bucket}/images"))
    with pytest.raises(StorageError, match="there is no such bucket"):
        list_pictures(open_storage("s3://fashion-nowhere/images"))
    with pytest.raises(DataError):
        list_pictures(open_storage(str(tmp_path / "nowhere")))


def test_a_shard_is_read_from_the_packed_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(shards, "ROWS", 4)
    storage = open_storage(str(tmp_path))
    for number in range(10):
        storage.write(f"{number}.png", b"x" * number)
    content = pack(list_pictures(storage))

    found = list(unpack(content, Shard(2, 3).rows(10)))

    assert [(entry.name, entry.size) for entry in found] == [("3.png", 3), ("4.png", 4), ("5.png", 5)]
    whole = list(unpack(content, range(10)))
    assert found == whole[3:6]
    keys = {entries_key(iter(some)) for some in (whole, found, found[::-1], [Entry("a", 1, "b")], [])}
    assert len(keys) == 5


def test_a_list_that_is_gone(tmp_path: Path):
    with pytest.raises(Exception, match=f"{tmp_path}/list is missing"):
        read_listing(open_storage(str(tmp_path)), "list")
