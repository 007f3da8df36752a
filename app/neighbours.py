"""The training images that are most like an image, in the network's feature space."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from components.common.errors import first_line
from components.common.files import replacing
from components.common.idx import Bytes, Probabilities

BATCH_SIZE = 250


class Neighbours:
    """The features of all training images, computed in a thread and kept in a file.

    Args:
        images: Training images, uint8 `(n, height, width)`.
        features: Features of a batch of images, float32 `(n, features)`, of length 1.
        path: Keeps the features; its name names weights and data. Other files of its folder are removed.
    """

    def __init__(self, images: Bytes, features: Callable[[Bytes], Probabilities], path: Path) -> None:
        self.done, self.total, self.error = 0, len(images), ""
        self._images, self._features, self._path = images, features, path
        self._known: Probabilities | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether `nearest` can be called."""
        return self._known is not None

    def wait(self) -> None:
        """Waits for the thread."""
        self._thread.join()

    def nearest(self, features: Probabilities, count: int) -> list[tuple[int, float]]:
        """The most similar training images, the first one most: index, and cosine similarity.

        Args:
            features: Of the image, float32 `(features,)`, of length 1.
            count: How many.
        """
        assert self._known is not None, "not ready"  # noqa: S101 (a mistake of the caller)
        similarity = self._known @ features
        return [(int(i), float(similarity[i])) for i in np.argsort(-similarity, kind="stable")[:count]]

    def _run(self) -> None:
        try:
            self._known = self._kept()
            if self._known is None:
                self._known = self._compute()
                self._keep(self._known)
        except Exception as error:  # of a thread nobody would see it
            self.error = first_line(error)

    def _compute(self) -> Probabilities:
        parts = []
        for start in range(0, self.total, BATCH_SIZE):
            parts.append(self._features(self._images[start : start + BATCH_SIZE]))
            self.done = start + len(parts[-1])
        return np.concatenate(parts)

    def _kept(self) -> Probabilities | None:
        try:
            kept: Probabilities = np.load(self._path, allow_pickle=False).astype(np.float32)
        except (OSError, ValueError):  # none yet, or damaged
            return None
        return kept if len(kept) == self.total else None

    def _keep(self, features: Probabilities) -> None:
        with replacing(self._path) as partial, partial.open("wb") as file:
            np.save(file, features.astype(np.float16))
        for other in self._path.parent.glob("*.npy"):
            if other != self._path:
                other.unlink(missing_ok=True)
