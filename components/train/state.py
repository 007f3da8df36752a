"""The state of an unfinished training, serialized: history, machines, weights and optimizer."""

import io
import json
from typing import Any
from zipfile import BadZipFile

import numpy as np

from components.common.storage import open_storage


class DamagedStateError(Exception):
    """The bytes are not a complete state."""


def pack_state(history: list[Any], machines: list[Any], variables: list[Any]) -> bytes:
    """Serializes a state: the rows of the finished epochs, their machines, and all variables."""
    values: dict[str, Any] = {str(number): np.asarray(variable) for number, variable in enumerate(variables)}
    content = io.BytesIO()
    np.savez(content, history=json.dumps(history), machines=json.dumps(machines), **values)
    return content.getvalue()


def unpack_state(content: bytes) -> tuple[list[Any], list[Any], list[Any]]:
    """The history, machines and variables of a state.

    Raises:
        DamagedStateError: The bytes are not a complete state.
    """
    try:
        with np.load(io.BytesIO(content)) as state:
            history, machines = (json.loads(str(state[name])) for name in ("history", "machines"))
            return history, machines, [state[str(number)] for number in range(len(state.files) - 2)]
    except (EOFError, ValueError, KeyError, BadZipFile) as error:
        raise DamagedStateError from error


def kept_machines(place: str) -> tuple[list[Any], int]:
    """The machines and the number of epochs of a stored state; none if there is no usable one.

    Raises:
        StorageError: The storage cannot be read.
    """
    folder, _, name = place.rpartition("/")
    content = open_storage(folder).read(name)
    try:
        history, machines, _ = unpack_state(content) if content else ([], [], [])
    except DamagedStateError:
        return [], 0
    return machines, len(history)
