"""Files that are written completely or not at all, and digests of their content."""

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from components.common.errors import SUBMIT_ANEW, PipelineError, StorageError

LOW_SPACE_BYTES = 4 << 20
"""With less free space than this, a failed write means a full disk: HDF5 reports it without an errno."""
IN_THE_WAY = "another file or folder has this name: move it away"
PATH_ERRORS = {
    errno.EROFS: "work in a folder that can be written: a copy of the project, or mounted read-write",
    errno.EACCES: "check its owner and mode",
    errno.EPERM: "check its owner, mode and attributes",
    errno.ENOTDIR: IN_THE_WAY,
    errno.EISDIR: IN_THE_WAY,
    errno.EEXIST: IN_THE_WAY,
    errno.ENOTEMPTY: IN_THE_WAY,
    errno.ENAMETOOLONG: "use a shorter name",
    errno.ELOOP: "a symbolic link leads back to itself: correct it",
    errno.EIO: "the disk failed: see the system's log",
    errno.ESTALE: "the network file system lost it: mount it again",
}
"""Hints for errors of a path, by errno."""
POD_FILES = (
    "the image's own user must run the pod, with a file system that it may write to: look for a policy of "
    "the cluster that sets runAsUser or readOnlyRootFilesystem"
)


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Yields an empty folder beside `out`; on success, its files are moved to `out`.

    What a killed process left there is removed by the next one.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    stage = out.parent / f".{out.name}.partial"
    try:
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(parents=True)
        yield stage
        out.mkdir(exist_ok=True)
        for path in sorted(stage.iterdir()):
            path.replace(out / path.name)
    except PipelineError:
        raise
    except Exception as error:
        raise as_storage_error(error, out) or error from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; it is renamed to `path` on success, removed otherwise.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise as_storage_error(error, path) or error from error
    finally:
        with suppress(OSError):  # the file or its folder was never made: the error above says so
            partial.unlink()


def as_storage_error(error: Exception, path: Path) -> StorageError | None:
    """Converts an error of the disk or of a path; None for other errors.

    Args:
        error: What was raised.
        path: What was to be written, named where the error has no file name.
    """
    number = getattr(error, "errno", None) or (errno.EACCES if isinstance(error, PermissionError) else 0)
    if isinstance(error, OSError) and number in PATH_ERRORS:
        reason = f"{error.filename or path}: {os.strerror(number).lower()}"
        return StorageError(reason, PATH_ERRORS[number], POD_FILES)
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):  # from tempfile
        return StorageError(str(error.strerror), "set TMPDIR to a folder that can be written", POD_FILES)
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    full = number in (errno.ENOSPC, errno.EDQUOT)
    if full or (isinstance(error, (OSError, RuntimeError)) and free < LOW_SPACE_BYTES):
        return StorageError(
            f"no space left while writing {path}: {free / 1e6:.1f} MB free in {folder}",
            "free some space and run the same command again; no incomplete file was left",
            "free space on the pod's node, or let it run on another; then submit the run again",
        )
    return None


def write_json(path: Path, content: Any) -> None:
    """Writes `content` as indented JSON. Raises ValueError for NaN, which is not JSON."""
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(path: Path, made_by: str) -> Any:
    """Reads JSON that the step `made_by` wrote.

    Raises:
        PipelineError: The file is missing or not JSON.
    """
    hint = f"run `fashion step {made_by}`, or `dvc repro` for all"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{path} is missing", hint, SUBMIT_ANEW) from None
    except ValueError as error:
        raise PipelineError(f"{path} is not JSON: {error}", hint, SUBMIT_ANEW) from None


def file_digest(path: Path, algorithm: str) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def data_listing(folder: Path) -> bytes:
    """DVC's listing of a data folder: JSON with the MD5 and the relative path of each file, sorted by path.

    The bytes are those of DVC (`dvc_data.hashfile.tree`).
    """
    entries = [
        {"md5": file_digest(path, "md5"), "relpath": path.relative_to(folder).as_posix()}
        for path in folder.rglob("*")
        if path.is_file()
    ]
    return json.dumps(sorted(entries, key=lambda entry: entry["relpath"])).encode()


def data_version(folder: Path) -> str:
    """The version of a data folder, equal to the `.dir` hash that DVC gives it."""
    return hashlib.md5(data_listing(folder), usedforsecurity=False).hexdigest() + ".dir"


def content_key(content: Any) -> str:
    """SHA-256 of a JSON value in canonical form."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def files_digest(paths: Iterable[Path], base: Path) -> str:
    """SHA-256 over names, relative to `base`, and contents of files, in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        name = os.fsencode(path.relative_to(base).as_posix())
        digest.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def source_digest(*folders: Path) -> str:
    """The version of the code in `folders`, which have one parent: a digest of its sources and templates."""
    sources = sorted(
        path for folder in folders for path in folder.rglob("*") if path.suffix in (".py", ".j2")
    )
    return files_digest(sources, folders[0].parent)
