"""The pictures of the model card that are drawn from the predictions on the test images."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.common.idx import Bytes
from components.common.report import figure, image_grid, png

BINS = 10
"""Bins of confidence in the calibration plot, of equal width."""
EXAMPLES = 6
"""Images shown of each confused pair of classes."""


@dataclass(frozen=True)
class Predictions:
    """Numbers of the true and of the predicted class, and the confidence, of each test image: `(n,)`."""

    actual: np.ndarray[Any, Any]
    predicted: np.ndarray[Any, Any]
    confidence: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Bin:
    """The images of a range of confidence: number, mean confidence, accuracy and its 95 % interval."""

    number: int
    images: int
    confidence: float
    accuracy: float
    interval: tuple[float, float]


def read_predictions(path: Path, classes: list[str]) -> Predictions:
    """Reads `predictions.csv` of the evaluate step. Raises FileNotFoundError."""
    numbers = {name: number for number, name in enumerate(classes)}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return Predictions(
        np.array([numbers[row["actual"]] for row in rows]),
        np.array([numbers[row["predicted"]] for row in rows]),
        np.array([float(row["confidence"]) for row in rows]),
    )


def confused_images(images: Bytes, predictions: Predictions, actual: int, predicted: int) -> bytes:
    """PNG of the errors of highest confidence, each with its number in the test set and its confidence."""
    confidence = predictions.confidence
    wrong = np.flatnonzero((predictions.actual == actual) & (predictions.predicted == predicted))
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:EXAMPLES]
    return image_grid(images[wrong], [f"{i}: {confidence[i]:.0%}" for i in wrong], columns=EXAMPLES)


def calibration(predictions: Predictions) -> list[Bin]:
    """The bins that have images. Bins are open below, as those of the calibration error."""
    right = predictions.actual == predictions.predicted
    number = np.clip(np.ceil(predictions.confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for used in np.unique(number):
        hits = right[number == used]
        bins.append(
            Bin(
                int(used),
                len(hits),
                float(predictions.confidence[number == used].mean()),
                float(hits.mean()),
                wilson_interval(int(hits.sum()), len(hits)),
            )
        )
    return bins


def calibration_plot(predictions: Predictions) -> bytes:
    """PNG of a reliability diagram: accuracy against confidence, and below it the images of each bin."""
    bins = calibration(predictions)
    accuracy = np.array([each.accuracy for each in bins])
    intervals = np.array([each.interval for each in bins])
    drawing = figure(6, 5)
    upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], "--", color="gray", label="perfect calibration")
    upper.errorbar(
        [each.confidence for each in bins],
        accuracy,
        yerr=np.abs(intervals.T - accuracy),
        fmt="o-",
        capsize=3,
        label="this model, 95 % intervals",
    )
    upper.set_ylabel("accuracy")
    upper.set_ylim(-0.02, 1.02)
    upper.grid(alpha=0.3)
    upper.legend(frameon=False)
    places = [(each.number + 0.5) / BINS for each in bins]
    bars = lower.bar(places, [each.images for each in bins], width=0.9 / BINS)
    lower.bar_label(bars, fmt="{:,.0f}", fontsize=7)
    lower.margins(y=0.25)
    lower.set_xlim(0, 1)
    lower.set_xlabel("confidence: the probability of the predicted class")
    lower.set_ylabel("test images")
    return png(drawing)


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson, JASA 22, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
