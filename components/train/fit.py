"""What `fit` is given: the learning rate's schedule, and the log of epochs."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
from tqdm import tqdm

from components.common.errors import TrainingError


class TriangularRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Rises linearly from a tenth of the peak, then falls linearly to nearly nothing.

    Args:
        peak: Highest learning rate.
        warmup: Share of the steps in which the rate rises.
        steps: All steps of the training.
    """

    def __init__(self, peak: float, warmup: float, steps: int) -> None:
        self.peak, self.warmup, self.steps = peak, warmup, steps

    def __call__(self, step: Any) -> Any:
        """The rate at a step, which may be a tensor."""
        done = keras.ops.cast(step, "float32") / self.steps
        rise = 0.1 + 0.9 * done / max(self.warmup, 1e-9)
        fall = (1 - done) / max(1 - self.warmup, 1e-9) + 0.005
        return self.peak * keras.ops.where(done < self.warmup, rise, fall)


class EpochLog(keras.callbacks.Callback):  # type: ignore[misc]
    """A line per epoch, a bar on a terminal, and the rows of `history.csv`.

    Raises:
        TrainingError: At the end of the first epoch whose loss is not finite.
    """

    def __init__(
        self,
        epochs: int,
        steps: int,
        batch_size: int,
        rate: TriangularRate,
        on_epoch: Callable[[dict[str, float]], None],
    ) -> None:
        super().__init__()
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.rate, self.on_epoch = rate, on_epoch
        self.history: list[dict[str, float]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the bar; `disable=None` hides it where there is no terminal."""
        self.bar = tqdm(total=self.epochs * self.steps, unit="step", disable=None, leave=False)
        self.started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the epoch's clock."""
        self.epoch_started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar."""
        self.bar.update(len(self.history) * self.steps + batch + 1 - self.bar.n)

    def on_test_begin(self, logs: Any = None) -> None:
        """Stops the epoch's clock: validation is not training."""
        self.seconds = time.perf_counter() - self.epoch_started

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Checks, prints and hands on the epoch's figures."""
        row: dict[str, float] = {"epoch": epoch + 1, **(logs or {})}
        if not all(math.isfinite(value) for value in row.values()):
            self.bar.close()
            raise TrainingError(
                f"the loss is not finite in epoch {epoch + 1}: {row['loss']}, validation {row['val_loss']}",
                "lower train.learning_rate; no model was written",
            )
        row["learning_rate"] = float(self.rate((epoch + 1) * self.steps))
        row["seconds"] = round(self.seconds, 3)
        row["images_per_second"] = round(self.steps * self.batch_size / self.seconds, 1)
        self.history.append(row)
        left = (time.perf_counter() - self.started) / len(self.history) * (self.epochs - epoch - 1)
        tqdm.write(
            f"epoch {epoch + 1}/{self.epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
            f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.4f}  "
            f"{self.seconds:.0f} s ({row['images_per_second']:,.0f} images/s)  "
            + (f"ETA {int(left) // 60}:{int(left) % 60:02d}" if left else "done")
        )
        self.on_epoch(row)

    def on_train_end(self, logs: Any = None) -> None:
        """Removes the bar."""
        self.bar.close()
