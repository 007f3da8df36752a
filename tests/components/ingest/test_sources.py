"""The sources of the data files: folders and web folders, compressed or not, reachable or not."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from components.common.files import data_version
from components.ingest.sources import FolderSource, HttpSource, Source
from components.ingest.step import ingest
from tests.support.ports import free_port

FAR = HttpSource(f"http://127.0.0.1:{free_port()}/")
"""A source that cannot be reached."""


@contextmanager
def web_folder(folder: Path) -> Iterator[HttpSource]:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield HttpSource(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()


@pytest.fixture
def web(packed: Path) -> Iterator[HttpSource]:
    with web_folder(packed) as source:
        yield source


def test_a_source_out_of_reach_is_named_and_the_next_one_serves(
    tmp_path: Path, subset: Path, expected: dict[str, str], web: HttpSource
):
    said: list[str] = []

    source = ingest(tmp_path / "data", expected, [FAR, web], say=said.append)

    assert source == web.name
    assert data_version(tmp_path / "data") == data_version(subset)
    assert [line.partition(": ")[0] for line in said] == [f"no data from {FAR.name.partition(': ')[0]}"]
    assert ingest(tmp_path / "data", expected, []) == "present"


def test_the_first_bytes_say_what_is_gzip_not_the_name(
    tmp_path: Path, subset: Path, expected: dict[str, str], mixed: Path
):
    with web_folder(mixed) as web:
        sources: list[Source] = [FolderSource(mixed), web]
        for source in sources:
            data = tmp_path / type(source).__name__ / "data"
            ingest(data, expected, [source])
            assert data_version(data) == data_version(subset)


def test_a_read_only_file_of_a_source_makes_no_read_only_data(
    tmp_path: Path, subset: Path, expected: dict[str, str]
):
    source = Path(shutil.copytree(subset, tmp_path / "source"))
    for path in source.iterdir():
        path.chmod(0o444)

    ingest(tmp_path / "data", expected, [FolderSource(source)])

    assert all(path.stat().st_mode & 0o200 for path in (tmp_path / "data").iterdir())


def test_a_connection_that_breaks_off_is_a_source_that_failed(
    tmp_path: Path, subset: Path, expected: dict[str, str]
):
    class Breaking(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"x" * 500)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        breaking, good = HttpSource(f"http://127.0.0.1:{server.server_port}/"), FolderSource(subset)
        assert ingest(tmp_path / "data", expected, [breaking, good]) == good.name
        server.shutdown()
