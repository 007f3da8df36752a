"""Temperature scaling of a trained model: C. Guo et al., "On Calibration of Modern Neural Networks", 2017."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from components.common.saved_model import predict

if TYPE_CHECKING:
    import keras

    from components.common.idx import Bytes, Probabilities

BATCH = 500
RANGE = (0.05, 20.0)
"""Temperatures that are tried."""
Loss = Callable[["Probabilities", "Bytes"], float]


def calibrate(model: keras.Model, images: Bytes, labels: Bytes) -> dict[str, float]:
    """Divides the logits of a model by the temperature that fits held-out images best.

    The predicted classes stay the same. The weights of the last layer that has weights are divided, after
    which nothing but linear layers and the softmax may follow: so every user of the saved model gets
    calibrated probabilities, and `weights_digest` covers the temperature.

    Args:
        model: From images to probabilities; its weights are changed.
        images: Images that were not trained on, uint8 `(n, height, width)`.
        labels: Their classes, uint8 `(n,)`.

    Returns:
        `temperature`, and the `log_loss` on these images with it and `log_loss_before`.
    """
    probabilities = predict(model, images, BATCH)
    temperature = fit_temperature(probabilities, labels, confidence_loss)
    layer = logits_layer(model)
    layer.set_weights([weight / np.float32(temperature) for weight in layer.get_weights()])
    return {
        "temperature": temperature,
        "log_loss": log_loss(at_temperature(probabilities, temperature), labels),
        "log_loss_before": log_loss(probabilities, labels),
    }


def logits_layer(model: keras.Model) -> keras.layers.Layer:
    """The last layer that has weights."""
    return next(layer for layer in reversed(model.layers) if getattr(layer, "kernel", None) is not None)


def fit_temperature(probabilities: Probabilities, labels: Bytes, loss: Loss) -> float:
    """The temperature with the lowest loss, of probabilities `(n, classes)` and labels `(n,)`."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda logarithm: loss(at_temperature(probabilities, float(np.exp(logarithm))), labels),
        bounds=np.log(RANGE),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def at_temperature(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The probabilities if their logits were divided by a temperature."""
    from scipy.special import softmax

    # logarithms of probabilities are logits but for a constant, which the softmax takes away
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
    scaled: Probabilities = softmax(logits / temperature, axis=1)
    return scaled


def confidence_loss(probabilities: Probabilities, labels: Bytes) -> float:
    """The log loss of the confidence, as the probability that the predicted class is right.

    It is what the calibration error is about, and gives a lower one on images that were not fitted on than
    the log loss of all classes: `python -m benchmarks.calibration`.
    """
    confidence = np.minimum(probabilities.max(axis=1), 1 - 1e-12)
    right = probabilities.argmax(axis=1) == labels
    return float(-np.log(np.where(right, confidence, 1 - confidence)).mean())


def log_loss(probabilities: Probabilities, labels: Bytes) -> float:
    """The mean log loss of all classes."""
    from sklearn import metrics

    return float(metrics.log_loss(labels, probabilities, labels=range(probabilities.shape[1])))
