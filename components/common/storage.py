"""Storage of objects by name, in an S3 bucket or in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from components.common.errors import StorageError
from components.common.files import replacing
from components.common.s3 import Entry, S3Storage, s3_client


class Storage(Protocol):
    """Objects by name; a name may contain slashes. All methods raise `StorageError`."""

    def read(self, name: str) -> bytes | None:
        """The content of an object, None if it does not exist."""

    def write(self, name: str, content: bytes) -> None:
        """Writes an object; readers never see a part of it."""

    def remove(self, name: str) -> None:
        """Removes an object, if it exists, and what a killed writer left of it."""

    def names(self, prefix: str = "") -> list[str]:
        """The names that begin with `prefix`, sorted."""

    def entries(self) -> Iterator[Entry]:
        """All objects, in no particular order."""

    def place(self, name: str) -> str:
        """The path or URL of an object, for messages."""


def open_storage(location: str, client: Any = None) -> Storage:
    """The storage at `s3://BUCKET/PREFIX`, or in a folder.

    Args:
        location: URL or path.
        client: An S3 client, instead of one with the settings of the environment.

    Raises:
        StorageError: The location is neither, or the S3 settings in the environment are wrong.
    """
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    if location.startswith("s3://") and bucket:
        return S3Storage(client or s3_client(), bucket, prefix.strip("/"))
    if location and "://" not in location:
        return FolderStorage(Path(location))
    raise StorageError(
        f"`{location}` is neither s3://BUCKET/PREFIX nor a folder",
        "name s3://BUCKET/PREFIX, or a folder",
        "name s3://BUCKET/PREFIX: the state's is FASHION_STATE_URL of the ConfigMap fashion-config, "
        "the DVC remote's is the run's: --param remote=s3://…",
    )


@dataclass(frozen=True)
class FolderStorage:
    """Objects as files of a folder, which the first write creates."""

    folder: Path

    def read(self, name: str) -> bytes | None:
        """The content of a file, None if it does not exist."""
        with _file_errors(f"read {self.place(name)}"):
            try:
                return (self.folder / name).read_bytes()
            except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
                return None

    def write(self, name: str, content: bytes) -> None:
        """Writes a file."""
        with _file_errors(f"write {self.place(name)}"), replacing(self.folder / name) as partial:
            partial.write_bytes(content)

    def remove(self, name: str) -> None:
        """Removes a file, and the temporary files of a killed `write`."""
        path = self.folder / name
        with _file_errors(f"remove {path}"):
            for found in (path, *path.parent.glob(f".{path.name}.*.partial")):
                found.unlink(missing_ok=True)

    def names(self, prefix: str = "") -> list[str]:
        """The paths relative to the folder."""
        with _file_errors(f"list {self.folder}"):
            files = (path for path in self.folder.rglob("*") if path.is_file() and path.suffix != ".partial")
            names = (path.relative_to(self.folder).as_posix() for path in files)
            return sorted(name for name in names if name.startswith(prefix))

    def entries(self) -> Iterator[Entry]:
        """The files; the version of one is its time of change."""
        for name in self.names():
            with _file_errors(f"read {self.place(name)}"):
                status = (self.folder / name).stat()
            yield Entry(name, status.st_size, str(status.st_mtime_ns))

    def place(self, name: str) -> str:
        """The path of a file."""
        return str(self.folder / name)


@contextmanager
def _file_errors(action: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot {action}: {error.strerror}",
            "check owner, mode and disk",
            "a pod keeps nothing in a folder: name s3://BUCKET/PREFIX in FASHION_STATE_URL of the ConfigMap "
            "fashion-config",
        ) from error
