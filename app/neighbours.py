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
        self._known = np.empty((0, 0), np.float32)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def complete(self) -> bool:
        """Whether all training images are known."""
        return self.done == self.total

    def wait(self) -> None:
        """Waits for the thread."""
        self._thread.join()

    def stop(self) -> None:
        """Ends the thread after the current batch: another version is champion, or the data are others."""
        self._stopped = True

    def nearest(self, features: Probabilities, count: int) -> list[tuple[int, float]]:
        """The most similar of the training images that are known so far, the first one most.

        Args:
            features: Of the image, float32 `(features,)`, of length 1.
            count: How many.

        Returns:
            The number of each training image, and its cosine similarity.
        """
        done = self.done
        similarity = self._known[:done] @ features if done else np.empty(0)
        return [(int(i), float(similarity[i])) for i in np.argsort(-similarity, kind="stable")[:count]]

    def _run(self) -> None:
        try:
            kept = self._kept()
            if kept is None:
                self._compute()
                self._keep()
            else:
                self._known, self.done = kept, self.total
        except Exception as error:  # nobody would see one of a thread
            self.error = first_line(error)

    def _compute(self) -> None:
        for start in range(0, self.total, BATCH_SIZE):
            if self._stopped:
                return
            batch = self._features(self._images[start : start + BATCH_SIZE])
            if not start:
                self._known = np.empty((self.total, batch.shape[1]), np.float32)
            self._known[start : start + len(batch)] = batch
            self.done = start + len(batch)

    def _kept(self) -> Probabilities | None:
        """The features in the file; None if there is none, or it is damaged."""
        try:
            with self._path.open("rb") as file:
                kept: Probabilities = np.lib.format.read_array(file, allow_pickle=False).astype(np.float32)
        except Exception:  # damaged data make NumPy fail in many ways
            return None
        return kept if kept.ndim == 2 and len(kept) == self.total else None

    def _keep(self) -> None:
        if self._stopped:
            return
        try:
            for other in self._path.parent.glob("*.npy"):
                other.unlink(missing_ok=True)
            with replacing(self._path) as partial, partial.open("wb") as file:
                np.save(file, self._known.astype(np.float16))
        except Exception as error:  # the disk is full, or read-only: then they are computed each time
            print(f"the features of the training images are not kept: {first_line(error)}")
