"""Predictions for many pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.common.idx import Bytes, Probabilities
    from components.registry.model import LoadedModel

BATCH_SIZE = 256
"""Pictures per prediction."""


@dataclass(frozen=True)
class Source:
    """A picture that is still to be read: its name, and what reads its bytes."""

    file: str
    read: Callable[[], bytes]


@dataclass(frozen=True)
class Prediction:
    """The outcome for a picture: its input and probabilities, or why there are none.

    Args:
        file: Its name.
        image: What the network saw, uint8 `(height, width)`.
        probabilities: Of each class, float32 `(classes,)`.
        error: Why the picture could not be read, else "".
    """

    file: str
    image: Bytes | None = None
    probabilities: Probabilities | None = None
    error: str = ""


def predict_pictures(model: LoadedModel, sources: Iterable[Source]) -> Iterator[Prediction]:
    """Predicts pictures batch by batch; those that cannot be read are returned with their error."""
    raise NotImplementedError
