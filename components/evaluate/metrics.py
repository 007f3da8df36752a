"""The metrics of an evaluation, from probabilities and labels."""

from typing import Any

import numpy as np

from components.common.idx import Bytes, Probabilities


def wilson_interval(correct: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a proportion (E. B. Wilson, JASA 22, 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(correct, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def calibration_error(probabilities: Probabilities, labels: Bytes, bins: int) -> float:
    """Expected calibration error: the mean distance of confidence from accuracy over equal-width bins.

    C. Guo et al., "On Calibration of Modern Neural Networks", 2017, equation 3; bins are open below.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def measure(
    probabilities: Probabilities, labels: Bytes, classes: list[str], bins: int
) -> tuple[dict[str, float], dict[str, Any]]:
    """All metrics of a test set.

    Args:
        probabilities: float32 `(n, classes)`.
        labels: uint8 `(n,)`.
        classes: Class names.
        bins: Bins of the calibration error.

    Returns:
        The flat metrics, and the details: per class `precision`, `recall`, `f1` and `images`, and the
        confusion matrix with a row per true class.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted = probabilities.argmax(axis=1)
    numbers = range(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=numbers, zero_division=0.0
    )
    present = support > 0
    correct = int((predicted == labels).sum())
    low, high = wilson_interval(correct, len(labels))
    picked = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    metrics = {
        "accuracy": correct / len(labels),
        "accuracy_lower": low,
        "accuracy_upper": high,
        "worst_recall": float(recall[present].min()),
        "macro_f1": float(f1[present].mean()),
        "calibration_error": calibration_error(probabilities, labels, bins),
        "log_loss": float(-np.log(np.maximum(picked, 1e-12)).mean()),
    }
    details = {
        "classes": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "images": int(support[i]),
            }
            for i, name in enumerate(classes)
        },
        "confusion_matrix": confusion_matrix(labels, predicted, labels=numbers).tolist(),
    }
    return metrics, details
