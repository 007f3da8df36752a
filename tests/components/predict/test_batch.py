"""A batch on a real S3 server: what is there is not predicted again, what has changed is, nothing is lost."""

import json
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.common.errors import PipelineError, StorageError
from components.common.storage import FolderStorage, Storage, open_storage
from components.predict import batch
from components.predict.batch import SUCCESS, Part, plan_batch, predict_shard
from components.predict.shards import parse_shard, shard_names
from components.predict.summary import finish_batch
from components.registry.model import LoadedModel
from tests.support.pictures import CLASSES, images, loaded_model, png
from tests.support.s3_server import Proxy

pytest_plugins = ("tests.support.s3_server",)

Stores = tuple[Storage, Storage]
MODEL, OTHER = loaded_model(), loaded_model(4, "cd" * 32)
PICTURES = images(7)


@pytest.fixture
def stores(bucket: str) -> Stores:
    """Seven pictures and a file that is none, and an empty place for the predictions."""
    pictures = open_storage(f"s3://{bucket}/images")
    for number, image in enumerate(PICTURES):
        pictures.write(f"{number}.png", png(image))
    pictures.write("note.txt", b"no picture")
    return pictures, open_storage(f"s3://{bucket}/predictions")


def run_batch(pictures: Storage, target: Storage, model: LoadedModel = MODEL, shards: int = 3) -> list[Part]:
    plan = plan_batch(model.version, pictures, target)
    each = map(parse_shard, shard_names(shards))
    parts = [predict_shard(plan, shard, pictures, target, lambda: model) for shard in each]
    with TemporaryDirectory() as folder:
        names = [part.name for part in parts]
        finish_batch(plan, target, names, CLASSES, 0.5, Path(folder) / "report.html")
    return parts


def read_all(target: Storage) -> pa.Table:
    """As a reader of a folder of Parquet files does it: names with `_` or `.` before are no data."""
    contents = [target.read(name) for name in target.names() if not name.startswith(("_", "."))]
    return pa.concat_tables(pq.read_table(BytesIO(content or b"")) for content in contents)


def test_each_picture_is_predicted_once_and_the_summary_counts_them(stores: Stores):
    parts = run_batch(*stores)

    read = read_all(stores[1])
    assert read["file"].to_pylist() == [*(f"{number}.png" for number in range(7)), "note.txt"]
    expected = [CLASSES[best] for best in MODEL.predict(PICTURES).argmax(axis=1)]
    assert read["class"].to_pylist() == [*expected, None]
    np.testing.assert_array_equal(
        read["probability"].to_numpy()[:7], MODEL.predict(PICTURES).max(axis=1).astype(np.float32)
    )
    assert set(read["version"].to_pylist()) == {3}
    summary = json.loads(stores[1].read(SUCCESS) or b"")
    assert (summary["plan"]["version"], summary["plan"]["images"]) == (3, stores[0].place(""))
    assert (summary["plan"]["pictures"], summary["unreadable"]) == (8, 1)
    assert summary["classes"] == {name: expected.count(name) for name in CLASSES}
    assert summary["parts"] == [part.name for part in parts]
    assert [part.pictures for part in parts] == [2, 3, 3]


def test_what_is_there_is_not_predicted_again(stores: Stores, monkeypatch: pytest.MonkeyPatch):
    first = run_batch(*stores)
    names = stores[1].names()
    monkeypatch.setattr(batch, "predict_pictures", pytest.fail)

    again = run_batch(*stores)

    assert [part.seconds is None for part in first] == [False] * 3
    assert [part.seconds is None for part in again] == [True] * 3
    assert stores[1].names() == names


def test_a_batch_that_was_killed_between_two_shards_goes_on_with_the_second(stores: Stores):
    plan = plan_batch(MODEL.version, *stores)
    predict_shard(plan, parse_shard("1/3"), *stores, lambda: MODEL)

    def killed() -> LoadedModel:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_shard(plan, parse_shard("2/3"), *stores, killed)

    assert stores[1].read(SUCCESS) is None
    parts = run_batch(*stores)
    assert [part.seconds is None for part in parts] == [True, False, False]


def test_a_changed_picture_changes_its_shard_alone(stores: Stores):
    before = run_batch(*stores)
    stores[0].write("3.png", png(PICTURES[0]))

    after = run_batch(*stores)

    assert [part.seconds is None for part in after] == [True, False, True]
    assert read_all(stores[1])["file"].to_pylist() == [*(f"{number}.png" for number in range(7)), "note.txt"]
    assert before[1].name not in stores[1].names()
    assert stores[1].read(SUCCESS)


def test_another_model_and_number_of_shards_leave_nothing_of_the_first(stores: Stores):
    run_batch(*stores)
    stores[1].write("part-of-somebody-else.parquet", b"")
    stores[1].write(SUCCESS, b"[]")

    parts = run_batch(*stores, OTHER, shards=2)

    assert [part.seconds is None for part in parts] == [False, False]
    ours = [name for name in stores[1].names() if not name.startswith("_")]
    assert ours == [*(part.name for part in parts), "part-of-somebody-else.parquet"]


class Watched(FolderStorage):
    """A folder; whenever it changes, a summary there names all parts that are there."""

    def write(self, name: str, content: bytes) -> None:
        super().write(name, content)
        self.check()

    def remove(self, name: str) -> None:
        super().remove(name)
        self.check()

    def check(self) -> None:
        if summary := self.read(SUCCESS):
            assert json.loads(summary)["parts"] == self.names("part-")


@pytest.mark.parametrize("change", ["shards", "code", "model", "picture", "place"])
def test_at_no_moment_are_there_a_summary_and_other_files(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pictures, other = FolderStorage(tmp_path / "images"), FolderStorage(tmp_path / "other")
    for number, image in enumerate(PICTURES):
        for each in (pictures, other):
            each.write(f"{number}.png", png(image))
    target = Watched(tmp_path / "predictions")
    before = {part.name for part in run_batch(pictures, target)}
    if change == "code":
        monkeypatch.setattr(batch, "source_digest", lambda *_: "another")
    elif change == "picture":
        pictures.write("3.png", png(PICTURES[0]))
    images = other if change == "place" else pictures
    model, shards = OTHER if change == "model" else MODEL, 2 if change == "shards" else 3

    after = [part.name for part in run_batch(images, target, model, shards)]

    assert set(after) != before
    assert json.loads(target.read(SUCCESS) or b"")["parts"] == after
    assert read_all(target)["file"].to_pylist() == [f"{number}.png" for number in range(7)]


def test_a_shard_that_ends_after_another_batch_has_ended_removes_its_summary(tmp_path: Path):
    pictures, target = FolderStorage(tmp_path / "images"), Watched(tmp_path / "predictions")
    pictures.write("0.png", png(PICTURES[0]))
    plan = plan_batch(OTHER.version, pictures, target)

    def slow() -> LoadedModel:
        run_batch(pictures, target)
        return OTHER

    predict_shard(plan, parse_shard("1/1"), pictures, target, slow)

    assert target.read(SUCCESS) is None


def test_an_error_of_the_moment_is_not_kept(stores: Stores, monkeypatch: pytest.MonkeyPatch):
    lost = stores[0].read("3.png") or b""
    plan = plan_batch(MODEL.version, *stores)
    stores[0].remove("3.png")

    def predict() -> list[str]:
        predict_shard(plan, parse_shard("1/1"), *stores, lambda: MODEL)
        return [error for error in read_all(stores[1])["error"].to_pylist() if error]

    unknown = "no picture, or of an unknown format"
    assert predict() == [batch.GONE, unknown]
    stores[0].write("3.png", lost)
    with monkeypatch.context() as patch:
        patch.setattr("PIL.Image.open", Mock(side_effect=MemoryError))
        assert predict() == ["too large for the memory"] * 8
    assert predict() == [unknown]


def test_a_broken_file_is_predicted_again(stores: Stores):
    first, *_ = run_batch(*stores)
    whole = stores[1].read(first.name) or b""
    for broken in (b"", whole[:500], whole[:100] + b"\xff" + whole[101:]):
        stores[1].write(first.name, broken)

        parts = run_batch(*stores)

        assert [part.seconds is None for part in parts] == [False, True, True]
        assert stores[1].read(first.name) == whole


def test_other_weights_under_the_same_version_are_refused(stores: Stores):
    plan = plan_batch(MODEL.version, *stores)

    with pytest.raises(PipelineError, match="version 3 has other weights"):
        predict_shard(plan, parse_shard("1/1"), *stores, lambda: loaded_model(3, "ef" * 32))


def test_a_storage_that_fails_is_no_unreadable_picture(proxy: Proxy, stores: Stores):
    plan = plan_batch(MODEL.version, *stores)
    pictures, target = (open_storage(store.place("").rstrip("/")) for store in stores)

    def model() -> LoadedModel:
        proxy.broken = 10**6
        return MODEL

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.common.s3.ATTEMPTS", 1)
        with pytest.raises(StorageError):
            predict_shard(plan, parse_shard("1/1"), pictures, target, model)
    proxy.broken = 0

    assert [name for name in stores[1].names() if name.startswith("part-")] == []


def test_pictures_that_went_or_are_too_large_are_named(stores: Stores, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch, "MAX_BYTES", 1 << 20)
    stores[0].write("4.png", b"x" * ((1 << 20) + 1))
    plan = plan_batch(MODEL.version, *stores)
    stores[0].remove("5.png")

    part = predict_shard(plan, parse_shard("1/1"), *stores, lambda: MODEL)

    rows = read_all(stores[1]).to_pylist()
    assert {row["file"]: row["error"] for row in rows if row["error"]} == {
        "4.png": "more than 1 MiB",
        "5.png": "it was there when the batch began, and is not any more",
        "note.txt": "no picture, or of an unknown format",
    }
    assert part.line == f"8 pictures, 3 unreadable, {part.seconds:.0f} s without the start: {part.name}"
