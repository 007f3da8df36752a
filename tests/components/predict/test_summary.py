"""The end of a batch: what the report counts, and what must be there before a summary says that all is."""

import csv
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from components.common.errors import DataError, PipelineError, StorageError
from components.common.storage import FolderStorage, Storage, open_storage
from components.predict.batch import SUCCESS, Plan
from components.predict.step import Prediction
from components.predict.summary import finish_batch
from components.predict.table import write_table
from tests.support.pictures import CLASSES, loaded_model

MODEL = loaded_model()
PLAN = Plan("fashion-mnist", 3, "ab" * 32, "s3://shop/images/", "_pictures-1.parquet", 4)
PREDICTIONS = [
    Prediction("a.jpg", None, np.array([0.7, 0.2, 0.1], np.float32), date(2026, 1, 5)),
    Prediction("b.jpg", None, np.array([0.1, 0.8, 0.1], np.float32), date(2026, 3, 5)),
    Prediction("c.jpg", None, np.array([0.4, 0.3, 0.3], np.float32), date(2026, 3, 6)),
    Prediction("d.jpg", error="damaged: <b>"),
]


@pytest.fixture
def target(tmp_path: Path) -> Storage:
    """Two files with two pictures each."""
    write_table(tmp_path / "predictions" / "one", MODEL, PREDICTIONS[:2])
    write_table(tmp_path / "predictions" / "two", MODEL, PREDICTIONS[2:])
    return open_storage(str(tmp_path / "predictions"))


def test_the_trend_counts_what_can_be_read_and_is_sure(target: Storage, tmp_path: Path):
    line = finish_batch(PLAN, target, ["one", "two"], CLASSES, 0.5, tmp_path / "report.html")

    assert line == f"4 pictures, 1 unreadable, by version 3: {target.place(SUCCESS)}"
    rows = list(csv.reader((target.read("_trend.csv") or b"").decode().splitlines()))
    assert [row[:3] for row in rows if row[2] not in ("0", "pictures")] == [
        ["2026-01", "T-shirt/top", "1"],
        ["2026-03", "Trouser", "1"],
        ["2026-03", "not sure", "1"],
    ]
    assert (target.read("_trend.png") or b"").startswith(b"\x89PNG")
    html = (tmp_path / "report.html").read_text()
    assert "Predicted by fashion-mnist version 3" in html
    assert "the pictures in <code>s3://shop/images/</code>" in html
    assert "1 cannot be read" in html
    assert "data:image/png" in html


def test_a_summary_needs_all_files_and_a_picture(target: Storage, tmp_path: Path):
    html = tmp_path / "report.html"
    with pytest.raises(PipelineError, match="the files have 2 of 4 pictures"):
        finish_batch(PLAN, target, ["one"], CLASSES, 0.5, html)
    with pytest.raises(PipelineError, match="three is missing"):
        finish_batch(PLAN, target, ["one", "two", "three"], CLASSES, 0.5, html)
    write_table(tmp_path / "predictions" / "one", MODEL, [PREDICTIONS[3]] * 4)
    with pytest.raises(DataError, match="none of 4 pictures can be read"):
        finish_batch(PLAN, target, ["one"], CLASSES, 0.5, html)

    assert not html.exists()
    assert target.read(SUCCESS) is None


def test_a_file_that_cannot_be_removed_leaves_no_summary(target: Storage, tmp_path: Path):
    class Kept(FolderStorage):
        def remove(self, name: str) -> None:
            raise StorageError(f"cannot remove {name}")

    old = f"part-00001-{'0' * 16}.parquet"
    target.write(old, b"of an earlier batch")
    with pytest.raises(StorageError, match=old):
        finish_batch(PLAN, Kept(tmp_path / "predictions"), ["one", "two"], CLASSES, 0.5, tmp_path / "html")
    assert target.read(SUCCESS) is None

    finish_batch(PLAN, target, ["one", "two"], CLASSES, 0.5, tmp_path / "html")

    assert target.read(SUCCESS)
    assert target.read(old) is None
