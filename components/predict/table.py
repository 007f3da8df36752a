"""Predictions as a Parquet file, written while they are made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from components.common.files import replacing
from components.predict.step import Prediction
from components.registry.registry import weights_of

if TYPE_CHECKING:
    import pyarrow as pa

    from components.registry.model import LoadedModel

ROWS = 4096
"""Predictions of a row group: so many are in memory."""


class Counts(NamedTuple):
    """Pictures of a file, and how many of them could not be read."""

    pictures: int
    unreadable: int


def write_table(
    path: Path,
    model: LoadedModel,
    predictions: Iterable[Prediction],
    metadata: Mapping[str, str] | None = None,
) -> Counts:
    """Writes predictions to a Parquet file, whole or not at all.

    The columns are `file`, `class`, `probability`, a `probability_CLASS` for each class, `taken` (the day),
    `model`, `version`, `weights` (the digest), and `error`: why the picture could not be read. Then class and
    probabilities are null.

    Args:
        path: The file.
        model: What has predicted.
        predictions: In the order of the rows.
        metadata: Of the file's schema.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, unreadable, remaining = 0, 0, iter(predictions)
    schema = _schema(model.classes).with_metadata(dict(metadata or {}))
    with (
        replacing(path) as partial,
        pq.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        while group := list(islice(remaining, ROWS)):
            writer.write_batch(pa.RecordBatch.from_pylist([_row(model, each) for each in group], schema))
            rows += len(group)
            unreadable += sum(bool(each.error) for each in group)
    return Counts(rows, unreadable)


def read_metadata(content: bytes) -> dict[str, str]:
    """The metadata of a file that is whole; empty if it is damaged, which the checksums in it tell."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(BytesIO(content), page_checksum_verification=True)
        for _ in file.iter_batches():
            pass
    except (OSError, ValueError, pa.ArrowException):
        return {}
    return {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}


def read_columns(content: bytes, *names: str) -> Iterator[dict[str, Any]]:
    """The rows of some columns; a row group is in memory at a time."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(BytesIO(content), page_checksum_verification=True)
    for batch in file.iter_batches(columns=list(names)):
        yield from batch.to_pylist()


def _schema(classes: Iterable[str]) -> pa.Schema:
    import pyarrow as pa

    text, share = pa.string(), pa.float32()
    return pa.schema(
        [
            *(("file", text), ("class", text), ("probability", share)),
            *((f"probability_{name}", share) for name in classes),
            ("taken", pa.date32()),
            *(("model", text), ("version", pa.int32()), ("weights", text), ("error", text)),
        ]
    )


def _row(model: LoadedModel, prediction: Prediction) -> dict[str, Any]:
    version, found = model.version, prediction.probabilities
    row = {
        "file": prediction.file,
        "taken": prediction.taken,
        "model": version.name,
        "version": int(version.version),
        "weights": weights_of(version),
        "error": prediction.error or None,
    }
    if found is None:
        return row
    best = int(found.argmax())
    each = {f"probability_{name}": float(value) for name, value in zip(model.classes, found, strict=True)}
    return row | each | {"class": model.classes[best], "probability": float(found[best])}
