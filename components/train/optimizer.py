"""The optimizer and its learning rate schedule."""

from typing import Any

import keras

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


def make_optimizer(settings: Settings, steps: int) -> keras.Optimizer:
    """The optimizer of a training with this number of steps."""
    rate: Any = settings.learning_rate
    if settings.schedule == "triangular":
        rate = TriangularRate(settings.learning_rate, settings.warmup, steps)
    if settings.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    nesterov = settings.optimizer == "nesterov"
    return keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=nesterov)
