"""`fashion data`: every source, every byte."""

import gzip
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from components.common import idx
from components.common.errors import DataError
from components.common.files import data_version, file_digest
from components.ingest.sources import FolderSource, HttpSource, Source
from components.ingest.step import ingest
from tests.support.ports import free_port
from tests.support.project import ROOT, Project, new_project

LABELS = idx.file_name("test", "labels")
FAR = HttpSource(f"http://127.0.0.1:{free_port()}/")
"""A source that is out of reach."""


@pytest.fixture
def expected(subset: Path) -> dict[str, str]:
    return {path.name: file_digest(path, "sha256") for path in sorted(subset.iterdir())}


@pytest.fixture
def packed(subset: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "packed"
    folder.mkdir()
    for path in subset.iterdir():
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    return folder


@pytest.fixture
def mixed(subset: Path, tmp_path: Path) -> Path:
    """The four files, each of another combination of name and content."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    plain, packed, only_named, only_packed = (subset / name for name in idx.FILE_NAMES)
    shutil.copy(plain, folder)
    (folder / f"{packed.name}.gz").write_bytes(gzip.compress(packed.read_bytes()))
    shutil.copy(only_named, folder / f"{only_named.name}.gz")
    (folder / only_packed.name).write_bytes(gzip.compress(only_packed.read_bytes()))
    return folder


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


def flip(path: Path, offset: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def test_a_source_out_of_reach_is_named_and_the_next_one_serves(
    tmp_path: Path, subset: Path, expected: dict[str, str], web: HttpSource
):
    said: list[str] = []

    source = ingest(tmp_path / "data", expected, [FAR, web], say=said.append)

    assert source == web.name
    assert data_version(tmp_path / "data") == data_version(subset)
    assert [line.partition(": ")[0] for line in said] == [f"no data from {FAR.name.partition(': ')[0]}"]
    assert ingest(tmp_path / "data", expected, []) == "present"


def test_a_folder_where_a_file_belongs_is_refused_and_kept(
    tmp_path: Path, subset: Path, expected: dict[str, str]
):
    data = Path(shutil.copytree(subset, tmp_path / "data"))
    name = next(iter(expected))
    (data / name).unlink()
    (data / name).mkdir()

    with pytest.raises(DataError, match=f"{name} is a folder"):
        ingest(data, expected, [FolderSource(subset)], replace=True)

    assert (data / name).is_dir()


def test_the_first_bytes_say_what_is_gzip_not_the_name(
    tmp_path: Path, subset: Path, expected: dict[str, str], mixed: Path
):
    with web_folder(mixed) as web:
        sources: list[Source] = [FolderSource(mixed), web]
        for source in sources:
            data = tmp_path / type(source).__name__ / "data"
            ingest(data, expected, [source])
            assert data_version(data) == data_version(subset)


def test_a_set_of_mixed_packing_is_adopted(project: Project, subset: Path, mixed: Path):
    project.fashion("data", "adopt", str(mixed))

    assert data_version(project.root / "data") == data_version(subset)


def test_a_read_only_file_of_a_source_makes_no_read_only_data(
    tmp_path: Path, subset: Path, expected: dict[str, str]
):
    source = Path(shutil.copytree(subset, tmp_path / "source"))
    for path in source.iterdir():
        path.chmod(0o444)

    ingest(tmp_path / "data", expected, [FolderSource(source)])

    assert all(path.stat().st_mode & 0o200 for path in (tmp_path / "data").iterdir())


def test_only_missing_files_are_fetched(tmp_path: Path, subset: Path, expected: dict[str, str]):
    data, partial_source = tmp_path / "data", tmp_path / "source"
    shutil.copytree(subset, data)
    (data / LABELS).unlink()
    partial_source.mkdir()
    shutil.copy(subset / LABELS, partial_source)

    ingest(data, expected, [FolderSource(partial_source)])

    assert data_version(data) == data_version(subset)


@pytest.mark.parametrize("damage", ["flip", "truncate", "gzip"])
def test_damaged_bytes_of_a_source_are_refused_by_name(
    tmp_path: Path, packed: Path, expected: dict[str, str], damage: str
):
    target = packed / f"{LABELS}.gz"
    content = gzip.decompress(target.read_bytes())
    if damage == "flip":
        target.write_bytes(gzip.compress(content[:-1] + bytes([content[-1] ^ 1])))
    elif damage == "truncate":
        target.write_bytes(gzip.compress(content[:-1]))
    else:
        target.write_bytes(target.read_bytes()[:-20])

    with pytest.raises(DataError, match=LABELS):
        ingest(tmp_path / "data", expected, [FolderSource(packed)])

    assert not (tmp_path / "data").exists()
    assert not list(tmp_path.glob(".*partial*"))


def test_a_changed_byte_in_place_is_refused_and_replaced_only_on_request(
    tmp_path: Path, subset: Path, expected: dict[str, str]
):
    data = tmp_path / "data"
    shutil.copytree(subset, data)
    flip(data / LABELS)
    changed = data_version(data)

    with pytest.raises(DataError, match=LABELS):
        ingest(data, expected, [FolderSource(subset)])
    assert data_version(data) == changed

    ingest(data, expected, [FolderSource(subset)], replace=True)
    assert data_version(data) == data_version(subset)


def test_a_foreign_file_is_refused(tmp_path: Path, subset: Path, expected: dict[str, str]):
    data = tmp_path / "data"
    shutil.copytree(subset, data)
    (data / "notes.txt").write_text("mine")

    with pytest.raises(DataError, match=r"notes.txt does not belong"):
        ingest(data, expected, [FolderSource(subset)], replace=True)
    assert (data / "notes.txt").exists()


def test_with_no_source_left_the_error_names_them_all_and_says_what_to_do(
    tmp_path: Path, expected: dict[str, str]
):
    empty = tmp_path / "empty"
    empty.mkdir()

    with pytest.raises(DataError) as refused:
        ingest(tmp_path / "data", expected, [FAR, FolderSource(empty)])

    assert FAR.name in str(refused.value)
    assert str(empty) in str(refused.value)
    assert "fashion data --from FOLDER" in refused.value.hint


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


def test_a_configured_dvc_remote_is_used_and_its_corruption_is_noticed(
    tmp_path: Path, subset: Path, packed: Path
):
    project = new_project(tmp_path / "project", subset)
    remote = tmp_path / "remote"
    project.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    project.run("dvc", "push", "--quiet", "data.dvc")

    def lose_data() -> None:
        shutil.rmtree(project.root / "data")
        shutil.rmtree(project.root / ".dvc" / "cache")

    lose_data()
    project.fashion("data")
    assert data_version(project.root / "data") == data_version(subset)

    flip(project.root / "data" / LABELS)  # the cache has it
    project.fashion("data", "--replace")
    assert data_version(project.root / "data") == data_version(subset)

    lose_data()
    digest = file_digest(subset / LABELS, "md5")
    stored = remote / "files" / "md5" / digest[:2] / digest[2:]
    stored.chmod(0o644)
    flip(stored)
    refused = project.fashion("data", code=4)
    assert LABELS in refused.stderr
    assert not (project.root / "data").exists()

    project.fashion("data", "--from", str(packed))
    assert data_version(project.root / "data") == data_version(subset)
    assert project.git("status", "--porcelain", "data.dvc") == ""


@pytest.mark.slow
def test_a_damaged_file_is_replaced_by_content_from_cache_or_remote(subset: Path, tmp_path: Path):
    project = new_project(tmp_path / "project", subset)
    remote = tmp_path / "remote"
    listing = project.run("git", "show", "HEAD:data.dvc").stdout.partition("md5: ")[2].split()[0]
    digest = file_digest(subset / LABELS, "md5")
    damaged = project.root / "data" / LABELS
    cache = project.root / ".dvc" / "cache" / "files" / "md5"

    def stored(folder: Path, name: str) -> Path:
        return folder / name[:2] / name[2:]

    def spoil(path: Path) -> None:
        path.chmod(0o644)
        flip(path)

    def replace(code: int = 0) -> str:
        result = project.fashion("data", "--replace", code=code)
        if not code:
            assert data_version(project.root / "data") == data_version(subset)
            for path in (path for path in cache.rglob("*") if path.is_file()):
                assert file_digest(path, "md5") == (path.parent.name + path.name).removesuffix(".dir")
        return result.stdout + result.stderr

    # From the cache, and not through the link into the cache that `data/` is.
    project.run("dvc", "config", "--local", "cache.type", "hardlink,symlink")
    flip(damaged)
    replace()

    # A damaged object of the cache is named, and nothing is lost; the link leads to it.
    project.run("dvc", "checkout", "--relink", "data.dvc")
    assert damaged.stat().st_nlink == 2
    spoil(damaged)
    changed = damaged.read_bytes()
    refused = replace(code=4)
    assert f"{LABELS}: the cache has a damaged copy, no remote is configured" in refused
    assert damaged.read_bytes() == changed == stored(cache, digest).read_bytes()

    # With a whole copy in the remote, the cache is whole again, too: a file of it, and its listing.
    shutil.copytree(cache, remote / "files" / "md5")
    shutil.copyfile(subset / LABELS, stored(remote / "files" / "md5", digest))
    project.run("dvc", "remote", "add", "--local", "--default", "store", str(remote))
    spoil(stored(cache, listing))
    replace()

    # One that is found damaged while `data/` is whole.
    spoil(stored(cache, listing))
    replace()
    assert project.run("dvc", "data", "status", "--json").stdout.strip() == "{}"


def test_dvc_repro_on_a_flipped_byte_stops_and_fashion_data_puts_everything_right(
    project: Project, subset: Path
):
    before = (project.root / "data.dvc").read_text()
    flip(project.root / "data" / LABELS)

    refused = project.run("dvc", "repro", code=255)
    assert LABELS in refused.stdout + refused.stderr
    assert project.json("outputs/validate/validation.json")["verdict"] == "failed"

    project.fashion("data", "--replace", "--from", str(subset))
    assert (project.root / "data.dvc").read_text() == before
    assert "train" not in project.reproduce()
    assert project.json("outputs/validate/validation.json")["verdict"] == "passed"


@pytest.mark.slow
def test_another_data_set_goes_through_by_what_adopt_prints(project: Project, tmp_path: Path):
    folder = tmp_path / "shapes"
    folder.mkdir()
    random = np.random.default_rng(0)
    counts: dict[idx.Split, int] = {"train": 600, "test": 150}
    for split, count in counts.items():
        labels = (np.arange(count) % 3).astype(np.uint8)
        images = random.integers(0, 90, (count, 20, 24)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[5 * label : 5 * label + 6] += 150
        idx.write(folder / idx.file_name(split, "images"), images)
        idx.write(folder / idx.file_name(split, "labels"), labels)

    printed = project.fashion("data", "adopt", str(folder)).stdout
    for section, values in YAML(typ="safe").load(printed[printed.index("data:") :]).items():
        for name, value in values.items():
            if section == "validate":
                value["severity"] = "critical"
            project.change(section, name, value)
    project.change("train", "precision", "float32")
    project.change("gate", "accuracy_min", 0.0)

    assert project.reproduce() == ["validate", "train", "evaluate", "gate", "register"]
    assert project.json("outputs/evaluate/evaluation.json")["task"]["image_size"] == [20, 24]
    assert len(project.json("outputs/evaluate/evaluation.json")["confusion_matrix"]) == 3


def truncate(folder: Path) -> None:
    path = folder / LABELS
    path.write_bytes(path.read_bytes()[:-1])


def no_images(folder: Path) -> None:
    for kind, array in zip(idx.KINDS, idx.read_split(folder, "test"), strict=True):
        idx.write(folder / idx.file_name("test", kind), array[:0])


def two_sizes(folder: Path) -> None:
    idx.write(folder / idx.file_name("test", "images"), np.zeros((500, 9, 9), np.uint8))


def absent(folder: Path) -> None:
    (folder / LABELS).unlink()


@pytest.mark.parametrize("damage", [truncate, no_images, two_sizes, absent])
def test_a_set_that_cannot_be_adopted_leaves_the_old_one(
    project: Project, subset: Path, tmp_path: Path, damage: Callable[[Path], None]
):
    folder = Path(shutil.copytree(subset, tmp_path / "other"))
    damage(folder)

    refused = project.fashion("data", "adopt", str(folder), code=4)

    assert str(folder) in refused.stderr
    assert data_version(project.root / "data") == data_version(subset)
    assert project.git("status", "--porcelain", "data.dvc") == ""


def test_adopt_does_not_throw_away_what_is_in_no_cache(project: Project, real_data: Path):
    (project.root / "data" / "notes.txt").write_text("mine")

    refused = project.fashion("data", "adopt", str(real_data), code=4)

    assert "notes.txt" in refused.stderr
    assert (project.root / "data" / "notes.txt").read_text() == "mine"


def test_adopt_measures_the_real_data(project: Project, real_data: Path):
    printed = project.fashion("data", "adopt", str(real_data)).stdout

    measured = YAML(typ="safe").load(printed[printed.index("data:") :])
    declared = YAML(typ="safe").load(ROOT / "params.yaml")["data"]
    assert measured["data"] | {"classes": 0} == declared | {"classes": 0}
    assert data_version(project.root / "data") == data_version(real_data)
