"""Calibration: how often the model is right when it says that it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.idx import Bytes, Probabilities
from components.common.report import figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Bin:
    """The images of a range of confidence: number, mean confidence, accuracy and its 95 % interval.

    Bins have equal width and are open below; `number` counts from 0.
    """

    number: int
    images: int
    confidence: float
    accuracy: float
    accuracy_lower: float
    accuracy_upper: float


def reliability(probabilities: Probabilities, labels: Bytes, bins: int) -> list[Bin]:
    """The bins that have images.

    Args:
        probabilities: float32 `(n, classes)`.
        labels: uint8 `(n,)`.
        bins: Bins of confidence between 0 and 1.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    number = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for used in np.unique(number):
        hits = right[number == used]
        interval = wilson_interval(int(hits.sum()), len(hits))
        mean = float(confidence[number == used].mean())
        found.append(Bin(int(used), len(hits), mean, float(hits.mean()), *interval))
    return found


def calibration_error(bins: Sequence[Bin]) -> float:
    """Expected calibration error: the mean distance of confidence from accuracy over the bins.

    C. Guo et al., "On Calibration of Modern Neural Networks", 2017, equation 3.
    """
    distances = sum(each.images * abs(each.accuracy - each.confidence) for each in bins)
    return distances / sum(each.images for each in bins)


def reliability_diagram(found: Sequence[Bin], bins: int) -> Figure:
    """Accuracy against confidence, and below it the number of images in each of the `bins`."""
    accuracy = np.array([each.accuracy for each in found])
    intervals = np.array([(each.accuracy_lower, each.accuracy_upper) for each in found])
    drawing = figure(6, 5)
    upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], "--", color="gray", label="perfect calibration")
    upper.errorbar(
        [each.confidence for each in found],
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
    places: list[Any] = [(each.number + 0.5) / bins for each in found]
    bars = lower.bar(places, [each.images for each in found], width=0.9 / bins)
    lower.bar_label(bars, fmt="{:,.0f}", fontsize=7)
    lower.margins(y=0.25)
    lower.set_xlim(0, 1)
    lower.set_xlabel("confidence: the probability of the predicted class")
    lower.set_ylabel("test images")
    return drawing


def wilson_interval(correct: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share (E. B. Wilson, JASA 22, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(correct, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
