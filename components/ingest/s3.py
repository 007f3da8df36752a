"""Ingest from a DVC remote, without DVC and git, which a pod does not have."""

import hashlib
import json
import re
import time
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from components.common.errors import SUBMIT_ANEW, DataError
from components.common.files import data_version, staged
from components.common.storage import Storage, open_storage

ATTEMPTS = 3
"""Downloads of an object whose content does not match its MD5."""
DIGEST = re.compile(r"[0-9a-f]{32}")
LISTING = ".dir"
VERSION = re.compile(rf"{DIGEST.pattern}{re.escape(LISTING)}")
"""DVC's hash of a folder."""
# `dvc push` would skip a version whose listing is there, and would not replace a damaged object.
PUSH = (
    "`fashion data push`, in the project whose data.dvc names this version, sends what is missing and "
    "replaces what is damaged; --remote NAME where this is not DVC's default remote"
)


def fetch_version(data: Path, version: str, remote: str) -> None:
    """Downloads a version of the data into a folder and verifies every byte.

    Args:
        data: The folder; empty, missing, or with this version already.
        version: DVC's hash of the data folder, as `md5` in data.dvc: 32 hex digits and `.dir`.
        remote: The DVC remote: `s3://BUCKET/PREFIX`, or a folder.

    Raises:
        DataError: An object of the remote is missing or damaged, or the folder holds other data.
        StorageError: The remote cannot be read.
    """
    if not VERSION.fullmatch(version):
        raise DataError(
            f"`{version}` is not a version of the data", "take it from data.dvc: 32 hex digits and .dir"
        )
    if data.is_dir() and any(data.iterdir()):
        if data_version(data) == version:
            print(f"data {version} is there")
            return
        raise DataError(
            f"{data} holds other data than {version}", "remove it, or name another folder", SUBMIT_ANEW
        )
    store = open_storage(remote)
    files = _files(store, version)
    with staged(data) as stage:
        for number, (name, digest) in enumerate(files.items(), 1):
            content = _download(store, digest, name)
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            (stage / name).write_bytes(content)
            print(f"data file {number} of {len(files)}: {name}, {len(content) / 1e6:.1f} MB, verified")


def check_version(version: str, remote: str) -> list[str]:
    """Reads every byte of a version in a DVC remote; returns a message for each missing or damaged file.

    Raises:
        DataError: The listing is missing or damaged.
        StorageError: The remote cannot be read.
    """
    store = open_storage(remote)
    files = _files(store, version).items()
    messages = []
    for name, digest in tqdm(files, f"reading {remote}", unit="file", delay=2, leave=False, disable=None):
        try:
            _download(store, digest, name)
        except DataError as error:
            messages.append(str(error))
    return messages


def _download(store: Storage, digest: str, what: str) -> bytes:
    """The object whose name is an MD5, for a listing with `.dir`."""
    name = f"files/md5/{digest[:2]}/{digest[2:]}"
    for attempt in range(ATTEMPTS):
        time.sleep(attempt / 4)
        content = store.read(name)
        if content is None:
            raise DataError(f"{what} is missing from the DVC remote: {store.place(name)}", PUSH)
        if hashlib.md5(content, usedforsecurity=False).hexdigest() == digest.removesuffix(LISTING):
            return content
    raise DataError(f"{what} is corrupt in the DVC remote: {store.place(name)}", PUSH)


def _files(store: Storage, version: str) -> dict[str, str]:
    """The MD5 of each file of a version, by its path in the folder."""
    content = _download(store, version, f"the listing of {version}")
    try:
        files = {entry["relpath"]: entry["md5"] for entry in json.loads(content)}
        for name, digest in files.items():
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or not path.parts or not DIGEST.fullmatch(digest):
                raise DataError(
                    f"the listing of {version} names `{name}`, which is not a file of a data folder",
                    "do not trust whoever wrote that version: take another one",
                )
    except (ValueError, TypeError, KeyError):
        raise DataError(
            f"the listing of {version} was not made by DVC", "take the version from data.dvc"
        ) from None
    return files
