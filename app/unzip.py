"""The pictures in a zip file. Nothing is written to the disk, so paths in the file lead nowhere."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from datetime import date
from pathlib import PurePosixPath
from typing import IO

from components.common.errors import DataError
from components.predict.picture import MAX_BYTES
from components.predict.step import Source

MAX_PICTURES, MAX_TOTAL = 10_000, 2 << 30
"""Of one zip file: pictures, and bytes when unpacked. No entry gives more bytes than it declares."""
YEAR_0 = 1980
"""The first year of zip's calendar: that of entries without a date."""


def unzip(file: IO[bytes]) -> list[tuple[Source, date | None]]:
    """The files of a zip file, to be read later, each with the day of its last change.

    Raises:
        DataError: It is no zip file, or unpacks to too much.
    """
    hint = "make a zip file of pictures, and try again"
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise DataError(f"not a zip file, or damaged: {error}", hint) from None
    entries = [
        entry
        for entry in archive.infolist()
        if not entry.is_dir() and not PurePosixPath(entry.filename).name.startswith(".")
    ]
    if len(entries) > MAX_PICTURES:
        raise DataError(f"{len(entries):,} files; at most {MAX_PICTURES:,} are read", "make it smaller")
    if sum(entry.file_size for entry in entries) > MAX_TOTAL:
        raise DataError(f"more than {MAX_TOTAL >> 30} GiB when unpacked", "make it smaller")
    return [(Source(entry.filename, _reader(archive, entry)), _day(entry)) for entry in entries]


def _reader(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(entry) as file:
                return file.read(MAX_BYTES + 1)
        # RuntimeError: it is encrypted.
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"cannot be unpacked: {error}") from None

    return read


def _day(entry: zipfile.ZipInfo) -> date | None:
    try:
        day = date(*entry.date_time[:3])
    except ValueError:
        return None
    return day if day.year > YEAR_0 else None
