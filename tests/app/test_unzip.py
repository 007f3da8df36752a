"""Zip files as people and attackers make them."""

import io
import zipfile
import zlib
from datetime import date

import pytest

from app import unzip
from components.common.errors import DataError
from components.predict.picture import MAX_BYTES


def zipped(files: dict[str, bytes], day: tuple[int, int, int] = (2026, 3, 7)) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (*day, 12, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return file


def test_files_in_folders_are_read_with_their_dates_and_hidden_ones_are_not():
    file = zipped({"a/b.png": b"1", "../c.png": b"2", "__MACOSX/a/._b.png": b"3", ".hidden": b"4", "d/": b""})

    found = unzip.unzip(file)

    assert [(source.file, source.read(), day) for source, day in found] == [
        ("a/b.png", b"1", date(2026, 3, 7)),
        ("../c.png", b"2", date(2026, 3, 7)),
    ]


def test_an_entry_without_a_date_has_none():
    assert unzip.unzip(zipped({"a.png": b"1"}, (1980, 1, 1)))[0][1] is None


def declared(size: int) -> io.BytesIO:
    """A zip file with one entry of 100,000 bytes, of which it says that it has another size."""
    content = zipped({"a.png": bytes(100_000)}).getvalue()
    return io.BytesIO(content.replace((100_000).to_bytes(4, "little"), size.to_bytes(4, "little")))


def test_what_unpacks_to_too_much_is_refused():
    with pytest.raises(DataError, match="more than 2 GiB when unpacked"):
        unzip.unzip(declared(unzip.MAX_TOTAL + 1))


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unzip, "MAX_PICTURES", 2)

    with pytest.raises(DataError, match="3 files; at most 2 are read"):
        unzip.unzip(zipped(dict.fromkeys("abc", b"")))


def test_of_a_large_entry_no_more_is_read_than_shows_that():
    source, _ = unzip.unzip(zipped({"large.png": bytes(MAX_BYTES + 1000)}))[0]

    assert len(source.read()) == MAX_BYTES + 1


def test_an_entry_that_declares_less_than_it_unpacks_to_gives_no_more_than_it_declares():
    source, _ = unzip.unzip(declared(10))[0]

    with pytest.raises(DataError, match="cannot be unpacked: Bad CRC"):
        source.read()


@pytest.mark.parametrize("content", [b"", b"no zip file"])
def test_other_files_are_refused(content: bytes):
    with pytest.raises(DataError, match="not a zip file"):
        unzip.unzip(io.BytesIO(content))


def test_a_damaged_entry_is_named_and_the_others_are_read():
    content = bytearray(zipped({"a.png": b"one", "b.png": b"two"}).getvalue())
    place = content.index(zlib.compress(b"one", wbits=-15))
    content[place : place + 2] = b"\xff\xff"

    (damaged, _), (whole, _) = unzip.unzip(io.BytesIO(bytes(content)))

    assert whole.read() == b"two"
    with pytest.raises(DataError, match="cannot be unpacked"):
        damaged.read()
