"""The result of a check."""

import uuid
from dataclasses import dataclass

from components.common.errors import StorageError
from components.common.storage import Storage


@dataclass(frozen=True)
class Finding:
    """The result of a check; `hint` tells what to do if it is not ok."""

    name: str
    ok: bool
    text: str
    hint: str = ""
    tested: bool = True


class NotTested(Exception):  # noqa: N818 - not an error
    """Something cannot be checked from here; it may be right."""


def try_bucket(storage: Storage) -> None:
    """Writes, reads and deletes an object.

    Raises:
        StorageError: One of these fails.
    """
    name = f"doctor-{uuid.uuid4().hex}"
    storage.write(name, b"ok")
    content = storage.read(name)
    storage.remove(name)
    if content != b"ok":
        raise StorageError(f"{storage.place(name)} does not return what was written", "check the S3 server")
