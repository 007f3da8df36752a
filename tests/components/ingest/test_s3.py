"""Ingest from a DVC remote in a bucket: every byte verified, what is wrong named, all or nothing."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from components.common.errors import DataError, PipelineError, StorageError
from components.common.files import data_version
from components.common.storage import Storage, open_storage
from components.ingest.s3 import ATTEMPTS, fetch_version
from pipeline.data.push import push
from tests.support.project import Project
from tests.support.s3_server import NO_KEYS, Keys, Proxy, S3Server, set_environment

pytest_plugins = ("tests.support.s3_server",)

FILES = {"images": os.urandom(100_000), "more/labels": os.urandom(1_000), "more/same": b"1", "same": b"1"}


def key_of(content: bytes, suffix: str = "") -> str:
    digest = hashlib.md5(content).hexdigest()
    return f"files/md5/{digest[:2]}/{digest[2:]}{suffix}"


def put_listing(store: Storage, entries: object) -> str:
    listing = json.dumps(entries).encode()
    store.write(key_of(listing, ".dir"), listing)
    return hashlib.md5(listing).hexdigest() + ".dir"


def put_version(store: Storage) -> str:
    """Puts `FILES` there as DVC does; returns their version."""
    for content in FILES.values():
        store.write(key_of(content), content)
    return put_listing(
        store, [{"md5": hashlib.md5(c).hexdigest(), "relpath": name} for name, c in sorted(FILES.items())]
    )


@pytest.fixture
def remote(bucket: str) -> str:
    return f"s3://{bucket}/dvc"


@pytest.fixture
def version(remote: str) -> str:
    return put_version(open_storage(remote))


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(folder: Path, version: str, remote: str, kind: type[PipelineError] = DataError) -> PipelineError:
    """Fetches in vain, and checks that nothing was left behind."""
    with pytest.raises(kind) as raised:
        fetch_version(folder / "data", version, remote)
    assert list(folder.iterdir()) == []
    return raised.value


def test_what_dvc_has_pushed_is_fetched_byte_for_byte_and_the_hint_mends_it(
    s3: S3Server,
    remote: str,
    subset: Path,
    fresh_project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    project = fresh_project
    project.environment.update(s3.environment)
    project.run("dvc", "remote", "add", "--local", "--default", "store", remote)
    project.run("dvc", "remote", "modify", "--local", "store", "endpointurl", s3.url)
    project.run("dvc", "push", "--quiet", "data.dvc")
    version, store = data_version(subset), open_storage(remote)

    fetch_version(tmp_path / "data", version, remote)
    assert contents(tmp_path / "data") == contents(subset)

    lost = key_of((subset / "t10k-labels-idx1-ubyte").read_bytes())
    listing = f"files/md5/{version[:2]}/{version[2:]}"
    (tmp_path / "pod").mkdir()
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    for damaged, content in ((lost, b"corrupt"), (lost, None), (listing, b"[]"), (listing, None)):
        store.remove(damaged)
        if content is not None:
            store.write(damaged, content)
        fault = refused(tmp_path / "pod", version, remote)
        assert remote + "/" + damaged in str(fault)
        assert "fashion data push" in fault.hint
        lines: list[str] = []
        assert push(project.root, "", lines.append) == (version, remote)
        assert [line.endswith("is there, verified") for line in lines].count(False) == 1
        fetch_version(tmp_path / "pod" / "data", version, remote)
        assert contents(tmp_path / "pod" / "data") == contents(subset)
        shutil.rmtree(tmp_path / "pod" / "data")


def test_a_remote_can_be_a_folder(tmp_path: Path):
    version = put_version(open_storage(str(tmp_path / "remote")))

    fetch_version(tmp_path / "data", version, str(tmp_path / "remote"))

    assert contents(tmp_path / "data") == FILES
    assert data_version(tmp_path / "data") == version


def test_data_that_is_there_is_not_fetched_and_other_data_is_not_touched(
    tmp_path: Path, version: str, remote: str, proxy: Proxy
):
    data = tmp_path / "data"
    data.mkdir()  # an empty folder is as good as none
    fetch_version(data, version, remote)
    assert len(proxy.seen) == 1 + len(FILES)

    fetch_version(data, version, remote)
    assert len(proxy.seen) == 1 + len(FILES)

    (data / "same").write_bytes(b"2")
    with pytest.raises(DataError, match="holds other data"):
        fetch_version(data, version, remote)
    assert contents(data) == FILES | {"same": b"2"}


def test_a_missing_object_is_named(tmp_path: Path, version: str, remote: str):
    key = key_of(FILES["more/labels"])
    open_storage(remote).remove(key)

    fault = refused(tmp_path, version, remote)

    assert str(fault) == f"more/labels is missing from the DVC remote: {remote}/{key}"
    assert "fashion data push" in fault.hint


def test_a_version_that_was_never_pushed_is_named(tmp_path: Path, version: str, remote: str):
    other = f"{version[30:32]}{version[:30]}.dir"

    assert str(refused(tmp_path, other, remote)) == (
        f"the listing of {other} is missing from the DVC remote: {remote}/files/md5/{other[:2]}/{other[2:]}"
    )


@pytest.mark.parametrize(("what", "damage"), [("file", "flip"), ("file", "truncate"), ("listing", "flip")])
def test_a_damaged_object_is_named(
    tmp_path: Path, version: str, remote: str, proxy: Proxy, what: str, damage: str
):
    store = open_storage(remote)
    listing = f"files/md5/{version[:2]}/{version[2:]}"
    key, name = (
        (listing, f"the listing of {version}") if what == "listing" else (key_of(FILES["images"]), "images")
    )
    whole = store.read(key)
    assert whole
    store.write(key, whole[:-1] + (bytes([whole[-1] ^ 1]) if damage == "flip" else b""))
    proxy.seen.clear()

    fault = refused(tmp_path, version, remote)

    assert str(fault) == f"{name} is corrupt in the DVC remote: {remote}/{key}"
    assert [path for _, path in proxy.seen].count(f"/{remote.removeprefix('s3://')}/{key}") == ATTEMPTS


def test_a_byte_that_was_damaged_on_the_way_is_fetched_again(
    tmp_path: Path, version: str, remote: str, proxy: Proxy
):
    proxy.flipped = 2  # of the listing

    fetch_version(tmp_path / "data", version, remote)

    assert contents(tmp_path / "data") == FILES


def test_a_server_that_dies_in_the_middle_and_comes_back(
    tmp_path: Path, version: str, remote: str, proxy: Proxy
):
    proxy.broken, proxy.dying, proxy.seconds_dead = 1, True, 0.8

    fetch_version(tmp_path / "data", version, remote)

    assert not proxy.dying
    assert contents(tmp_path / "data") == FILES


def test_a_server_that_dies_in_the_middle_for_good(
    tmp_path: Path, version: str, remote: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("components.common.s3.ATTEMPTS", 3)
    proxy.broken, proxy.dying = 1, True
    started = time.monotonic()

    fault = refused(tmp_path, version, remote, StorageError)

    assert not proxy.dying
    assert f"{proxy.url} cannot be reached" in str(fault)
    assert time.monotonic() - started < 40


def test_wrong_and_missing_credentials_and_buckets(tmp_path: Path, version: str, remote: str, user: Keys):
    for keys, words in (
        (user | {"AWS_SECRET_ACCESS_KEY": "wrong"}, "refuses the credentials (SignatureDoesNotMatch)"),
        (NO_KEYS, "there are no credentials"),
    ):
        with set_environment(keys):
            assert words in str(refused(tmp_path, version, remote, StorageError))
    with set_environment(user):
        fault = refused(tmp_path, version, "s3://fashion-nowhere/dvc", StorageError)
        assert "there is no such bucket" in str(fault)
        fetch_version(tmp_path / "data", version, remote)


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "more/../../outside", "..", ".", ""])
def test_a_listing_cannot_write_elsewhere(tmp_path: Path, name: str):
    store = open_storage(str(tmp_path / "remote"))
    store.write(key_of(b"bad"), b"bad")
    version = put_listing(store, [{"md5": hashlib.md5(b"bad").hexdigest(), "relpath": name}])
    (tmp_path / "pod").mkdir()

    assert f"names `{name}`" in str(refused(tmp_path / "pod", version, str(tmp_path / "remote")))
    assert {path.name for path in tmp_path.iterdir()} == {"remote", "pod"}


@pytest.mark.parametrize(
    "entries",
    [
        None,
        1,
        "text",
        {"md5": "x"},
        [1],
        [{"relpath": "a"}],
        [{"relpath": 1, "md5": "x"}],
        [{"relpath": "a", "md5": 1}],
    ],
)
def test_a_listing_of_another_form_is_refused(tmp_path: Path, entries: object):
    version = put_listing(open_storage(str(tmp_path / "remote")), entries)
    (tmp_path / "pod").mkdir()

    assert "was not made by DVC" in str(refused(tmp_path / "pod", version, str(tmp_path / "remote")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".dir",
        "0" * 32,
        "0" * 31 + ".dir",
        "0" * 33 + ".dir",
        "G" * 32 + ".dir",
        "0" * 32 + ".dir\n",
        "../" * 11,
    ],
)
def test_a_version_of_another_form_is_refused(tmp_path: Path, text: str):
    assert "is not a version of the data" in str(refused(tmp_path, text, "s3://nowhere"))
