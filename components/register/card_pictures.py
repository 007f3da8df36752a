"""The pictures of the model card that are drawn from the predictions on the test images."""

from __future__ import annotations

import numpy as np

from components.common.idx import Bytes
from components.common.predictions import Predictions
from components.common.report import image_grid

EXAMPLES = 6
"""Images shown of each confused pair of classes."""


def confused_images(images: Bytes, predictions: Predictions, actual: int, predicted: int) -> bytes:
    """PNG of the errors of highest confidence, each with its number in the test set and its confidence."""
    confidence = predictions.confidence
    wrong = np.flatnonzero((predictions.actual == actual) & (predictions.predicted == predicted))
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:EXAMPLES]
    return image_grid(images[wrong], [f"{i}: {confidence[i]:.0%}" for i in wrong], columns=EXAMPLES)
