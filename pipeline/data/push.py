"""Sends the data set to a DVC remote and verifies every byte there.

`dvc push` does not check the content of a remote: it skips a version whose listing is there, and never
replaces a damaged object; without data, it sends nothing and reports "up to date".
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.common.errors import DataError, StorageError, first_line
from components.common.files import as_storage_error, data_listing, data_version, file_digest
from components.common.s3 import s3_error
from components.ingest.s3 import LISTING
from pipeline.data.dataset import obtain, prepare_dvc
from pipeline.data.dvc_cache import open_dvc


def push(root: Path, remote: str, say: Callable[[str], None]) -> tuple[str, str]:
    """Sends missing and damaged files to a DVC remote of any kind, and verifies all files there.

    Args:
        root: The project; missing data is fetched first.
        remote: Name of the remote; empty for DVC's default remote.
        say: Called with a line for each file.

    Returns:
        The data version, and the remote's URL or path.

    Raises:
        DataError: There is no such remote, or the project's data is not what data.dvc describes.
        StorageError: The remote cannot be read or written, or returns other content than was sent.
    """
    prepare_dvc(root)
    from botocore.exceptions import BotoCoreError, ClientError

    store = _open(root, remote)  # before a long download
    obtain(root)
    data = root / "data"
    place = str(store.fs.unstrip_protocol(store.path)).removesuffix("/files/md5")
    files = {path.relative_to(data).as_posix(): path for path in sorted(data.rglob("*")) if path.is_file()}
    with tempfile.TemporaryDirectory() as folder:
        listing = Path(folder) / "listing"
        listing.write_bytes(data_listing(data))
        try:
            for name, path in files.items():
                say(f"{name}: {_bring(store, path)}")
            # Last, because DVC takes a version with a listing for complete.
            say(f"the listing: {_bring(store, listing, LISTING)}")
        except StorageError:
            raise
        except Exception as error:  # each kind of remote has a library with its own errors
            cause = error if isinstance(error, (BotoCoreError, ClientError)) else error.__cause__
            if isinstance(cause, (BotoCoreError, ClientError)):
                raise s3_error(cause, f"use {place}") from None
            raise as_storage_error(error, Path(store.path)) or StorageError(
                f"the DVC remote {place} fails: {first_line(cause or error)}",
                "check its address and its keys: `dvc remote list`, `dvc config --list`",
            ) from None
    return data_version(data), place


def _open(root: Path, remote: str) -> Any:
    from dvc.exceptions import DvcException

    repo = open_dvc(root)
    if not (remote or repo.config["core"].get("remote")):
        raise DataError("DVC has no default remote", "`dvc remote add --default storage s3://BUCKET/PREFIX`")
    try:
        return repo.cloud.get_remote_odb(remote or None, "push")
    except DvcException as error:
        raise DataError(
            f"DVC cannot open the remote {remote}: {' '.join(str(error).split())}",
            "`dvc remote list` names them",
        ) from None


def _bring(store: Any, path: Path, suffix: str = "") -> str:
    """Sends a file unless the remote has its content; returns what was done."""
    from fsspec.callbacks import TqdmCallback

    digest = file_digest(path, "md5")
    place = store.oid_to_path(digest + suffix)
    before = _digest(store.fs, place)
    if before == digest:
        return "is there, verified"
    bar = {"desc": path.name, "unit": "B", "unit_scale": True, "leave": False, "disable": None}
    with TqdmCallback(tqdm_kwargs=bar) as callback:
        store.fs.makedirs(store.fs.parent(place))
        store.fs.put_file(str(path), place, callback=callback)
    if _digest(store.fs, place) != digest:
        raise StorageError(f"{place} does not return what was sent", "look at the remote's server or disk")
    return "sent, verified" if before is None else "was damaged; sent again, verified"


def _digest(fs: Any, place: str) -> str | None:
    """The MD5 of an object's content, None if it does not exist."""
    try:
        with fs.open(place, "rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except FileNotFoundError:
        return None
