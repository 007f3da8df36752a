"""What a check finds."""

import uuid
from dataclasses import dataclass

from components.common.errors import StorageError
from components.common.storage import Storage


@dataclass(frozen=True)
class Finding:
    """What came of a check; `hint` says what to do where it is not ok."""

    name: str
    ok: bool
    text: str
    hint: str = ""
    tested: bool = True


class NotTested(Exception):  # noqa: N818 - nothing is wrong
    """Something cannot be seen from here, which may be as it should."""


def try_bucket(storage: Storage) -> None:
    """Writes, reads and removes an object.

    Raises:
        StorageError: One of these fails.
    """
    name = f"doctor-{uuid.uuid4().hex}"
    storage.write(name, b"ok")
    content = storage.read(name)
    storage.remove(name)
    if content != b"ok":
        raise StorageError(f"{storage.place(name)} does not give back what was written", "look at the server")
