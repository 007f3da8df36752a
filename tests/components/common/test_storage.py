"""Storage in a folder and on a real S3 server behaves the same."""

from pathlib import Path

import pytest

from components.common.errors import StorageError
from components.common.storage import open_storage

pytest_plugins = ("tests.support.s3_server",)


@pytest.mark.parametrize("kind", ["folder", "bucket", "prefix"])
def test_objects_are_written_read_listed_and_removed(kind: str, bucket: str, tmp_path: Path):
    places = {"folder": str(tmp_path / "store"), "bucket": f"s3://{bucket}", "prefix": f"s3://{bucket}/a/b/"}
    store = open_storage(places[kind])

    assert store.read("one") is None
    assert store.names() == []
    store.remove("one")
    store.write("one", b"1")
    store.write("one", b"2")
    store.write("runs/two", b"")

    again = open_storage(places[kind])
    assert again.read("one") == b"2"
    assert again.read("runs/two") == b""
    assert again.read("runs") is None
    assert again.names() == ["one", "runs/two"]
    assert again.names("runs/") == ["runs/two"]
    assert again.place("runs/two") == f"{places[kind].rstrip('/')}/runs/two"
    again.remove("one")
    assert store.names() == ["runs/two"]


def test_a_prefix_hides_what_is_beside_it(bucket: str):
    open_storage(f"s3://{bucket}").write("statement", b"another's")
    open_storage(f"s3://{bucket}/state").write("key", b"ours")

    assert open_storage(f"s3://{bucket}/state").names() == ["key"]
    assert open_storage(f"s3://{bucket}").names() == ["state/key", "statement"]


def test_what_a_killed_writer_left_in_a_folder_is_no_object_and_is_removed(tmp_path: Path):
    left = tmp_path / ".one.0a1b2c3d.partial"
    left.write_bytes(b"half")
    store = open_storage(str(tmp_path))

    assert store.names() == []
    store.remove("one")
    assert not left.exists()


def test_a_folder_that_cannot_be_used_is_a_storage_error(tmp_path: Path):
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match="/file: file exists"):
        open_storage(str(tmp_path / "file")).write("one", b"1")


@pytest.mark.parametrize("location", ["", "s3://", "gs://bucket/x"])
def test_a_location_of_another_kind_is_refused(location: str):
    with pytest.raises(StorageError) as refused:
        open_storage(location)
    assert str(refused.value) == f"`{location}` is neither s3://BUCKET/PREFIX nor a folder"
