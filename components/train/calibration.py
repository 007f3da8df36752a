"""Temperature scaling of a trained model: C. Guo et al., "On Calibration of Modern Neural Networks", 2017."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from components.common.saved_model import predict

if TYPE_CHECKING:
    import keras

    from components.common.idx import Bytes, Probabilities

BATCH = 500
RANGE = (0.05, 20.0)
"""Temperatures that are tried."""


def calibrate(model: keras.Model, images: Bytes, labels: Bytes) -> dict[str, float]:
    """Divides the logits of a model by the temperature with the lowest log loss on held-out images.

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
    temperature = fit_temperature(probabilities, labels)
    layer = next(layer for layer in reversed(model.layers) if getattr(layer, "kernel", None) is not None)
    layer.set_weights([weight / np.float32(temperature) for weight in layer.get_weights()])
    return {
        "temperature": temperature,
        "log_loss": log_loss(probabilities, labels, temperature),
        "log_loss_before": log_loss(probabilities, labels, 1.0),
    }


def fit_temperature(probabilities: Probabilities, labels: Bytes) -> float:
    """The temperature with the lowest log loss, of probabilities `(n, classes)` and labels `(n,)`."""
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        return log_loss(probabilities, labels, float(np.exp(logarithm)))

    found = minimize_scalar(loss, bounds=np.log(RANGE), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def log_loss(probabilities: Probabilities, labels: Bytes, temperature: float) -> float:
    """The mean log loss of these probabilities at another temperature."""
    from scipy.special import log_softmax

    # logarithms of probabilities are logits but for a constant, which the softmax takes away
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
    return float(-log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean())
