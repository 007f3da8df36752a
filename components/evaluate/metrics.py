"""The metrics of an evaluation, from probabilities and labels."""

from dataclasses import asdict
from typing import Any

from components.common.idx import Bytes, Probabilities
from components.evaluate.calibration import calibration_error, reliability, wilson_interval


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
        The flat metrics, and the details: per class `precision`, `recall`, its 95 % interval (None without
        images), `f1` and `images`; the confusion matrix with a row per true class; the bins of `reliability`.
    """
    from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

    predicted = probabilities.argmax(axis=1)
    numbers = range(len(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=numbers, zero_division=0.0
    )
    present = support > 0
    correct = int((predicted == labels).sum())
    low, high = wilson_interval(correct, len(labels))
    found = reliability(probabilities, labels, bins)
    metrics = {
        "accuracy": correct / len(labels),
        "accuracy_lower": low,
        "accuracy_upper": high,
        "worst_recall": float(recall[present].min()),
        "macro_f1": float(f1[present].mean()),
        "calibration_error": calibration_error(found),
        "log_loss": float(log_loss(labels, probabilities, labels=numbers)),
    }
    matrix = confusion_matrix(labels, predicted, labels=numbers)
    intervals = [wilson_interval(int(matrix[i, i]), int(support[i])) if present[i] else None for i in numbers]
    details = {
        "classes": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "recall_interval": intervals[i],
                "f1": float(f1[i]),
                "images": int(support[i]),
            }
            for i, name in enumerate(classes)
        },
        "confusion_matrix": matrix.tolist(),
        "reliability": [asdict(each) for each in found],
    }
    return metrics, details
