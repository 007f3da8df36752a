"""The predictions on the test images, as the evaluate step writes them."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Predictions:
    """Numbers of the true and of the predicted class, and the confidence, of each test image: `(n,)`."""

    actual: np.ndarray[Any, Any]
    predicted: np.ndarray[Any, Any]
    confidence: np.ndarray[Any, Any]


def read_predictions(path: Path, classes: Sequence[str]) -> Predictions:
    """Reads `predictions.csv` of the evaluate step. Raises FileNotFoundError."""
    numbers = {name: number for number, name in enumerate(classes)}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return Predictions(
        np.array([numbers[row["actual"]] for row in rows], np.uint8),
        np.array([numbers[row["predicted"]] for row in rows], np.uint8),
        np.array([float(row["confidence"]) for row in rows]),
    )
