"""The list of the pictures of a batch, and its shards: equal parts of that list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING

from components.common.errors import DataError, ParameterError, PipelineError
from components.common.files import content_key
from components.common.s3 import Entry

if TYPE_CHECKING:
    import pyarrow as pa

    from components.common.storage import Storage

MAX_SHARDS = 1000
ROWS = 10_000
"""Rows of a row group of the list: this much of it is unpacked at a time."""


@dataclass(frozen=True)
class Shard:
    """The shard with a number, from 1, of so many."""

    number: int
    count: int

    def rows(self, pictures: int) -> range:
        """Which pictures of the list are in it."""
        start, stop = (pictures * end // self.count for end in (self.number - 1, self.number))
        return range(start, stop)


def shard_names(count: int) -> list[str]:
    """The names of so many shards: `1/2`, `2/2`.

    Raises:
        ParameterError: The number is out of range.
    """
    if not 1 <= count <= MAX_SHARDS:
        raise ParameterError(f"{count} shards are refused", f"ask for 1 to {MAX_SHARDS}")
    return [f"{number}/{count}" for number in range(1, count + 1)]


def parse_shard(name: str) -> Shard:
    """The shard with a name.

    Raises:
        ParameterError: It is no such name.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", name)
    if not found or not 1 <= int(found[1]) <= int(found[2]) <= MAX_SHARDS:
        raise ParameterError(f"{name!r} is no shard", f"for example 1/2; at most {MAX_SHARDS} of them")
    return Shard(int(found[1]), int(found[2]))


def list_pictures(pictures: Storage) -> pa.Table:
    """Name, size and version of each object below a prefix, sorted by name.

    Raises:
        DataError: There is none.
        StorageError: The storage cannot be read.
    """
    import pyarrow as pa

    schema = pa.schema([("name", pa.string()), ("size", pa.int64()), ("version", pa.string())])
    # A console makes a folder as an empty object: its name is empty, or ends with a slash.
    entries = (entry for entry in pictures.entries() if entry.name and not entry.name.endswith("/"))
    batches = []
    while rows := list(islice(entries, ROWS)):
        batches.append(pa.RecordBatch.from_pylist([row._asdict() for row in rows], schema=schema))
    if not batches:
        raise DataError(f"there is no picture at {pictures.place('')}", "upload pictures, or correct the URL")
    return pa.Table.from_batches(batches).sort_by("name")


def pack(listing: pa.Table) -> bytes:
    """The list as a Parquet file, the same bytes each time."""
    import pyarrow.parquet as pq

    buffer = BytesIO()
    pq.write_table(listing, buffer, row_group_size=ROWS)
    return buffer.getvalue()


def unpack(content: bytes, rows: range) -> Iterator[Entry]:
    """Some rows of a packed list; a row group is in memory at a time."""
    import pyarrow.parquet as pq

    file, first = pq.ParquetFile(BytesIO(content)), 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        start, stop = max(rows.start - first, 0), min(rows.stop - first, size)
        if start < stop:
            for row in file.read_row_group(group).slice(start, stop - start).to_pylist():
                yield Entry(**row)
        first += size


def entries_key(entries: Iterator[Entry]) -> str:
    """A digest of names, sizes and versions."""
    key = ""
    while rows := list(islice(entries, ROWS)):
        key = content_key([key, rows])
    return key


def read_listing(target: Storage, name: str) -> bytes:
    """A packed list that the first step of a batch has written.

    Raises:
        PipelineError: It is not there any more.
    """
    content = target.read(name)
    if content is None:
        raise PipelineError(f"{target.place(name)} is missing", "start the batch again", "submit it again")
    return content
