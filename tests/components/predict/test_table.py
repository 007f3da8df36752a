"""Predictions as Parquet: schema and content are exact, and a file is there whole or not at all."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.predict import table
from components.predict.step import Prediction, Source, predict_pictures
from components.predict.table import Counts, read_columns, read_metadata, write_table
from tests.support.pictures import CLASSES, images, loaded_model, png

MODEL = loaded_model()


def test_schema_and_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(table, "ROWS", 2)
    pictures = images(4)
    sources = [Source(f"{n}.png", partial(png, image)) for n, image in enumerate(pictures)]
    sources.insert(2, Source("broken.png", lambda: png(pictures[0])[:60]))
    path = tmp_path / "a" / "predictions.parquet"

    counts = write_table(path, MODEL, predict_pictures(MODEL, sources), {"key": "value"})

    assert counts == Counts(5, 1)
    read = pq.read_table(path)
    share, text = pa.float32(), pa.string()
    assert [(field.name, field.type) for field in read.schema] == [
        *(("file", text), ("class", text), ("probability", share)),
        *((f"probability_{name}", share) for name in CLASSES),
        ("taken", pa.date32()),
        *(("model", text), ("version", pa.int32()), ("weights", text), ("error", text)),
    ]
    assert read["file"].to_pylist() == ["0.png", "1.png", "broken.png", "2.png", "3.png"]
    (broken,) = (row for row in read.to_pylist() if row["error"])
    assert broken == dict.fromkeys(read.column_names) | {
        "file": "broken.png", "error": broken["error"],
        "model": "fashion-mnist", "version": 3, "weights": "ab" * 32,
    }  # fmt: skip
    expected = MODEL.predict(pictures)
    good = read.filter(pa.compute.is_null(read["error"]))
    np.testing.assert_array_equal(
        np.stack([good[f"probability_{name}"].to_numpy() for name in CLASSES], axis=1), expected
    )
    np.testing.assert_array_equal(good["probability"].to_numpy(), expected.max(axis=1))
    assert good["class"].to_pylist() == [CLASSES[best] for best in expected.argmax(axis=1)]
    assert pq.ParquetFile(path).num_row_groups == 3
    assert read_metadata(path.read_bytes()) == {"key": "value"}
    assert [row["class"] for row in read_columns(path.read_bytes(), "class")] == read["class"].to_pylist()


def test_a_damaged_file_has_no_metadata(tmp_path: Path):
    path = tmp_path / "predictions.parquet"
    write_table(path, MODEL, [Prediction(f"{n}.png", error="damaged") for n in range(100)], {"key": "value"})
    content = path.read_bytes()

    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    last = column.dictionary_page_offset + column.total_compressed_size - 1
    for place in (last, len(content) - 6):  # of the data, and of the file's own length
        flipped = bytes([content[place] ^ 1])
        assert read_metadata(content[:place] + flipped + content[place + 1 :]) == {}, place
    assert read_metadata(content[: len(content) // 2]) == read_metadata(b"") == {}
    assert read_metadata(content) == {"key": "value"}


def test_an_interrupted_file_is_not_there(tmp_path: Path):
    def predictions() -> Iterator[Prediction]:
        yield Prediction("a.png", error="damaged")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(tmp_path / "predictions.parquet", MODEL, predictions())

    assert list(tmp_path.iterdir()) == []
