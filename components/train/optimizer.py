"""The optimizer and its learning rate schedule."""

import math
from typing import Any

import keras
import tensorflow as tf

from components.train.settings import Settings


class TriangularRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Rises linearly from a tenth of the peak, then falls linearly to nearly 0.

    Args:
        peak: The highest learning rate.
        warmup: The share of the steps in which the rate rises.
        steps: The number of steps of the training.
    """

    def __init__(self, peak: float, warmup: float, steps: int) -> None:
        self.peak, self.warmup, self.steps = peak, warmup, steps

    def __call__(self, step: Any) -> Any:
        """The learning rate at a step, which may be a tensor."""
        done = keras.ops.cast(step, "float32") / self.steps
        rise = 0.1 + 0.9 * done / max(self.warmup, 1e-9)
        fall = (1 - done) / max(1 - self.warmup, 1e-9) + 0.005
        return self.peak * keras.ops.where(done < self.warmup, rise, fall)


class Muon(keras.optimizers.SGD):  # type: ignore[misc]
    """Muon for the filters of convolutions, gradient descent with Nesterov momentum for all else.

    Muon replaces the momentum of a matrix by a matrix with the same singular vectors whose singular values
    are all near 1 (K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024). The
    filters `(height, width, in, out)` are a matrix `(height * width * in, out)`; before each step they are
    scaled to a mean norm of 1, as in airbench94_muon of the same author: batch normalisation makes their size
    irrelevant, but not that of a step beside them. (Keras's own Muon leaves filters to AdamW.)

    Args:
        learning_rate: Of the filters; that of other variables is `OTHER_RATE` times as high.
        momentum: Of the filters; that of other variables is `OTHER_MOMENTUM`.
    """

    OTHER_RATE, OTHER_MOMENTUM = 20, 0.9

    def __init__(self, learning_rate: Any, momentum: float) -> None:
        super().__init__(learning_rate, momentum=self.OTHER_MOMENTUM, nesterov=True)
        self.filter_momentum = momentum

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """Applies the gradient of one variable."""
        if len(variable.shape) != 4:
            super().update_step(gradient, variable, self.OTHER_RATE * learning_rate)
            return
        momentum = self.momentums[self._get_variable_index(variable)]
        self.assign(momentum, self.filter_momentum * momentum + gradient)
        direction = orthogonalised(gradient + self.filter_momentum * momentum)
        *inputs, outputs = variable.shape
        size = math.sqrt(outputs)
        step = max(1.0, size / math.sqrt(math.prod(inputs))) * learning_rate
        self.assign(variable, variable * (size / tf.norm(variable)) - step * direction)


def orthogonalised(filters: tf.Tensor) -> tf.Tensor:
    """The filters with singular values near 1 (0.65 to 1.2), by Newton and Schulz's iteration in bfloat16.

    Three steps with the coefficients of K. Jordan's Muon, which go for speed, not for exactly 1. Values that
    are a hundredth of the largest stay below.
    """
    *inputs, outputs = filters.shape
    matrix = tf.reshape(filters, (math.prod(inputs), outputs))
    tall = math.prod(inputs) > outputs
    x = tf.transpose(matrix) if tall else matrix
    x = tf.cast(x / (tf.norm(x) + 1e-7), tf.bfloat16)
    for _ in range(3):
        square = tf.matmul(x, x, transpose_b=True)
        x = 3.4445 * x + tf.matmul(-4.775 * square + 2.0315 * tf.matmul(square, square), x)
    x = tf.cast(x, filters.dtype)
    return tf.reshape(tf.transpose(x) if tall else x, filters.shape)


def make_optimizer(settings: Settings, steps: int) -> keras.Optimizer:
    """The optimizer of a training with this number of steps."""
    rate: Any = settings.learning_rate
    if settings.schedule == "triangular":
        rate = TriangularRate(settings.learning_rate, settings.warmup, steps)
    if settings.optimizer == "muon":
        return Muon(rate, settings.momentum)
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    nesterov = settings.optimizer == "nesterov"
    return keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=nesterov)
