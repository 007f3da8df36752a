"""Ingest from a DVC remote by content, without DVC and without git: what a pod has is a bucket."""

import hashlib
import json
import re
import time
from pathlib import Path, PurePosixPath

from components.common.errors import SUBMIT_ANEW, DataError
from components.common.files import data_version, staged
from components.common.storage import Storage, open_storage

ATTEMPTS = 3
"""How often an object is downloaded whose content is not what its name says."""
DIGEST = re.compile(r"[0-9a-f]{32}")
LISTING = ".dir"
VERSION = re.compile(rf"{DIGEST.pattern}{re.escape(LISTING)}")
"""What DVC calls a version of a folder."""
# Not `dvc push`: it takes a version for complete when its listing is there, and an object for right.
PUSH = (
    "`fashion data push`, in the project whose data.dvc names this version, sends what is missing and "
    "replaces what is damaged; --remote NAME where this is not DVC's default remote"
)
"""What mends a remote, wherever one meets the fault."""


def fetch_version(data: Path, version: str, remote: str) -> None:
    """Brings a version of the data into a folder, every byte verified, whole or not at all.

    Args:
        data: The folder; it may hold this version already, and nothing else.
        version: DVC's hash of the data folder, as `md5` in data.dvc: 32 hex digits and `.dir`.
        remote: The DVC remote: `s3://BUCKET/PREFIX`, or a folder.

    Raises:
        DataError: An object of the remote is missing or corrupt, or the folder holds something else.
        StorageError: The remote cannot be read.
    """
    digest = version.removesuffix(LISTING)
    if not VERSION.fullmatch(version):
        raise DataError(f"`{version}` is no version of data", "take it from data.dvc: 32 hex digits and .dir")
    if data.is_dir() and any(data.iterdir()):
        if data_version(data) == version:
            print(f"data {version} is there")
            return
        raise DataError(
            f"{data} holds other data than {version}", "remove it, or name another folder", SUBMIT_ANEW
        )
    store = open_storage(remote)
    files = _listing(_download(store, digest, LISTING, f"the listing of {version}"), version)
    with staged(data) as stage:
        for number, (name, file_digest) in enumerate(files.items(), 1):
            content = _download(store, file_digest, "", name)
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            (stage / name).write_bytes(content)
            print(f"data file {number} of {len(files)}: {name}, {len(content) / 1e6:.1f} MB, verified")


def faults(version: str, remote: str) -> list[str]:
    """What a DVC remote lacks of a version, and what it holds damaged: every byte is read, and none kept.

    Raises:
        DataError: The remote lacks the listing, or has another under its name.
        StorageError: The remote cannot be read.
    """
    from tqdm import tqdm

    store = open_storage(remote)
    listing = _download(store, version.removesuffix(LISTING), LISTING, f"the listing of {version}")
    found = []
    files = _listing(listing, version).items()
    for name, digest in tqdm(files, f"reading {remote}", unit="file", delay=2, leave=False, disable=None):
        try:
            _download(store, digest, "", name)
        except DataError as error:
            found.append(str(error))
    return found


def _place(digest: str) -> str:
    return f"files/md5/{digest[:2]}/{digest[2:]}"


def _download(store: Storage, digest: str, suffix: str, what: str) -> bytes:
    """The object of this MD5."""
    name = _place(digest) + suffix
    for attempt in range(ATTEMPTS):
        time.sleep(attempt / 4)
        content = store.read(name)
        if content is None:
            raise DataError(f"{what} is missing from the DVC remote: {store.place(name)}", PUSH)
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == digest:
            return content
    raise DataError(f"{what} is corrupt in the DVC remote: {store.place(name)}", PUSH)


def _listing(content: bytes, version: str) -> dict[str, str]:
    """MD5 of each file by its name below the folder."""
    try:
        files = {entry["relpath"]: entry["md5"] for entry in json.loads(content)}
        for name, digest in files.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts or not DIGEST.fullmatch(digest):
                raise DataError(
                    f"the listing of {version} names `{name}`, which is no file of a data folder",
                    "whoever wrote that version is not to be trusted: take another",
                )
    except (ValueError, TypeError, KeyError):
        raise DataError(f"the listing of {version} is not DVC's", "take the version from data.dvc") from None
    return files
