"""Predictions for many pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from components.common.errors import DataError, StorageError, first_line
from components.predict.picture import MAX_BYTES, TOO_LARGE, date_taken, read_picture, to_input

if TYPE_CHECKING:
    from components.common.idx import Bytes, Probabilities
    from components.registry.model import LoadedModel

BATCH_SIZE = 256
"""Pictures per prediction."""


@dataclass(frozen=True)
class Source:
    """A picture that is still to be read.

    Args:
        file: Its name, as text that any file can take.
        read: Reads its bytes.
        path: Where it is, if it is a file.
    """

    file: str
    read: Callable[[], bytes]
    path: Path | None = None


@dataclass(frozen=True)
class Prediction:
    """The outcome for a picture: its input and probabilities, or why there are none.

    Args:
        file: Its name.
        image: What the network saw, uint8 `(height, width)`.
        probabilities: Of each class, float32 `(classes,)`.
        taken: The day on which it was taken, if its EXIF data say so.
        changed: The day on which its file was changed, if it is a file.
        error: Why the picture could not be read, else "".
    """

    file: str
    image: Bytes | None = None
    probabilities: Probabilities | None = None
    taken: date | None = None
    changed: date | None = None
    error: str = ""


def file_source(path: Path, name: str | None = None) -> Source:
    """A picture in a file; of a file that is too large, no more is read than shows that."""

    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)

    # Linux allows names that are no text.
    return Source(name or os.fsencode(path).decode(errors="backslashreplace"), read, path)


def predict_pictures(
    model: LoadedModel, sources: Iterable[Source], threads: int | None = None
) -> Iterator[Prediction]:
    """Predicts pictures batch by batch, in their order; while a batch is predicted, the next one is read.

    Args:
        model: The model.
        sources: The pictures. They are read in threads.
        threads: How many; more than processors where reading means waiting. None: one for each processor.

    Yields:
        The outcome of each picture. One that cannot be read has an error instead of probabilities.
    """
    remaining = iter(sources)

    with ThreadPoolExecutor(threads or len(os.sched_getaffinity(0))) as pool:

        def start() -> list[Future[Prediction]]:
            return [
                pool.submit(_prepare, source, *model.image_size) for source in islice(remaining, BATCH_SIZE)
            ]

        following = start()
        try:
            while following:
                prepared, following = following, start()
                yield from _predict(model, [future.result() for future in prepared])
        finally:  # the caller stopped, or the model failed
            pool.shutdown(wait=False, cancel_futures=True)


def _prepare(source: Source, height: int, width: int) -> Prediction:
    try:
        picture = read_picture(source.read())
        image, taken = to_input(picture, height, width), date_taken(picture)
        changed = None
        if source.path:
            changed = datetime.fromtimestamp(source.path.stat().st_mtime, UTC).date()
        return Prediction(source.file, image, taken=taken, changed=changed)
    except StorageError:  # a storage that fails is no fault of the picture
        raise
    except DataError as error:
        return Prediction(source.file, error=str(error))
    except OSError as error:
        return Prediction(source.file, error=f"cannot be read: {error.strerror or error}")
    except MemoryError:
        return Prediction(source.file, error=TOO_LARGE)
    except Exception as error:  # libraries fail in many ways on damaged data; the other pictures are fine
        return Prediction(source.file, error=f"cannot be read: {first_line(error)}")


def _predict(model: LoadedModel, pictures: list[Prediction]) -> Iterator[Prediction]:
    images = [picture.image for picture in pictures if picture.image is not None]
    probabilities = iter(model.predict(np.stack(images)) if images else ())
    for picture in pictures:
        if picture.image is None:
            yield picture
        else:
            yield replace(picture, probabilities=next(probabilities))


def ranked(probabilities: Probabilities, classes: Sequence[str], top: int) -> list[tuple[str, float]]:
    """The `top` most probable classes with their probabilities, the most probable first."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(classes[index], float(probabilities[index])) for index in order]
