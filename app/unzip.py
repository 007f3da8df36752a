"""The pictures in zip files. Nothing is written to the disk, so paths in the files lead nowhere."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import PurePosixPath

from components.common.errors import DataError, first_line
from components.predict.picture import MAX_BYTES
from components.predict.step import Source

MAX_PICTURES, MAX_TOTAL = 10_000, 2 << 30
"""Of the zip files of an upload: pictures, and bytes when unpacked. No entry gives more than it declares."""
MAX_ENTRIES = 4 * MAX_PICTURES
"""Of a zip file, with folders and hidden files; more are not even listed, which would take much memory."""
ENTRY = b"PK\x01\x02"
"""The bytes with which each entry in a zip file's directory begins."""
YEAR_0 = 1980
"""The first year of zip's calendar: that of entries without a date."""


@dataclass
class Room:
    """What may still be unpacked of an upload."""

    pictures: int = MAX_PICTURES
    total: int = MAX_TOTAL


def unzip(file: BytesIO, room: Room) -> list[tuple[Source, date | None]]:
    """The files of a zip file, to be read later, each with the day of its last change.

    Args:
        file: The zip file.
        room: What the files may take; it is less afterwards.

    Raises:
        DataError: It is no zip file, or unpacks to too much.
    """
    if file.getvalue().count(ENTRY) > MAX_ENTRIES:
        raise DataError(f"more than {MAX_ENTRIES:,} entries", "make it smaller")
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # damaged directories make it fail in many ways
        hint = "make a zip file of pictures, and try again"
        raise DataError(f"not a zip file, or damaged: {first_line(error)}", hint) from None
    entries = [
        entry
        for entry in archive.infolist()
        if not entry.is_dir() and not PurePosixPath(entry.filename).name.startswith(".")
    ]
    total = sum(entry.file_size for entry in entries)
    if len(entries) > room.pictures:
        raise DataError(f"{len(entries):,} files; an upload may have {MAX_PICTURES:,}", "make it smaller")
    if total > room.total:
        raise DataError(f"unpacked, the upload has more than {MAX_TOTAL >> 30} GiB", "make it smaller")
    room.pictures -= len(entries)
    room.total -= total
    return [(Source(entry.filename, _reader(archive, entry)), _day(entry)) for entry in entries]


def _reader(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with archive.open(entry) as file:
                return file.read(MAX_BYTES + 1)
        except Exception as error:  # it is encrypted, or damaged, for which each method has errors of its own
            raise DataError(f"cannot be unpacked: {first_line(error)}") from None

    return read


def _day(entry: zipfile.ZipInfo) -> date | None:
    try:
        day = date(*entry.date_time[:3])
    except ValueError:
        return None
    return day if day.year > YEAR_0 else None
