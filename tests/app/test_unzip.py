"""Zip files as people and attackers make them."""

import io
import zipfile
from datetime import date

import pytest

from app import unzip
from components.common.errors import DataError
from components.predict.picture import MAX_BYTES
from components.predict.step import Source


def zipped(
    files: dict[str, bytes],
    day: tuple[int, int, int] = (2026, 3, 7),
    method: int = zipfile.ZIP_DEFLATED,
) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (*day, 12, 0, 0)), content, method)
    return file


def opened(file: io.BytesIO) -> list[tuple[Source, date | None]]:
    return unzip.unzip(file, unzip.Room())


def test_files_in_folders_are_read_with_their_dates_and_hidden_ones_are_not():
    file = zipped({"a/b.png": b"1", "../c.png": b"2", "__MACOSX/a/._b.png": b"3", ".hidden": b"4", "d/": b""})

    found = opened(file)

    assert [(source.file, source.read(), day) for source, day in found] == [
        ("a/b.png", b"1", date(2026, 3, 7)),
        ("../c.png", b"2", date(2026, 3, 7)),
    ]


def test_an_entry_without_a_date_has_none():
    assert opened(zipped({"a.png": b"1"}, (1980, 1, 1)))[0][1] is None


def declared(size: int) -> io.BytesIO:
    """A zip file with one entry of 100,000 bytes, of which it says that it has another size."""
    content = zipped({"a.png": bytes(100_000)}).getvalue()
    return io.BytesIO(content.replace((100_000).to_bytes(4, "little"), size.to_bytes(4, "little")))


def test_what_unpacks_to_too_much_is_refused():
    with pytest.raises(DataError, match="unpacked, the upload has more than 2 GiB"):
        opened(declared(unzip.MAX_TOTAL + 1))


def test_the_limits_are_those_of_all_zip_files_of_an_upload():
    room = unzip.Room(pictures=3, total=10)
    assert len(unzip.unzip(zipped({"a": b"1234", "b": b"5678"}), room)) == 2

    with pytest.raises(DataError, match="2 files; an upload may have"):
        unzip.unzip(zipped(dict.fromkeys("ab", b"")), room)
    with pytest.raises(DataError, match="unpacked, the upload has more"):
        unzip.unzip(zipped({"a": b"123"}), room)
    assert len(unzip.unzip(zipped({"a": b"12"}), room)) == 1


def test_a_directory_of_very_many_entries_is_not_even_listed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unzip, "MAX_ENTRIES", 2)

    with pytest.raises(DataError, match="more than 2 entries"):
        opened(zipped(dict.fromkeys(("a/", ".b", "c"), b"")))


def test_of_a_large_entry_no_more_is_read_than_shows_that():
    source, _ = opened(zipped({"large.png": bytes(MAX_BYTES + 1000)}))[0]

    assert len(source.read()) == MAX_BYTES + 1


def test_an_entry_that_declares_less_than_it_unpacks_to_gives_no_more_than_it_declares():
    source, _ = opened(declared(10))[0]

    with pytest.raises(DataError, match="cannot be unpacked: Bad CRC"):
        source.read()


@pytest.mark.parametrize("content", [b"", b"no zip file"])
def test_other_files_are_refused(content: bytes):
    with pytest.raises(DataError, match="not a zip file"):
        opened(io.BytesIO(content))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_entry_is_named_and_the_others_are_read(method: int):
    file = zipped({"a.png": b"one" * 9, "b.png": b"two" * 9}, method=method)
    with zipfile.ZipFile(file) as archive:
        first, second = archive.infolist()
    content = bytearray(file.getvalue())
    place = second.header_offset - first.compress_size
    content[place : second.header_offset] = b"\xff" * first.compress_size

    (damaged, _), (whole, _) = opened(io.BytesIO(bytes(content)))

    assert whole.read() == b"two" * 9
    with pytest.raises(DataError, match="cannot be unpacked"):
        damaged.read()
