"""Keras callbacks: the log of each epoch, and the state from which a killed training is resumed."""

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
from tqdm import tqdm

from components.common.errors import StorageError, TrainingError
from components.common.storage import open_storage
from components.train.state import DamagedStateError, pack_state, unpack_state

Row = dict[str, float]


class EpochLog(keras.callbacks.Callback):  # type: ignore[misc]
    """A line per epoch, a bar on a terminal, and the rows of `history.csv`.

    Args:
        epochs: How many there will be.
        steps: Steps of an epoch.
        batch_size: Images of a step.
        on_epoch: Called with the row of each epoch.
        history: Rows of earlier epochs, if the training is resumed.

    Raises:
        TrainingError: At the end of the first epoch whose loss is not finite.
    """

    def __init__(
        self, epochs: int, steps: int, batch_size: int, on_epoch: Callable[[Row], None], history: list[Row]
    ) -> None:
        super().__init__()
        self.epochs, self.steps, self.batch_size = epochs, steps, batch_size
        self.on_epoch, self.history = on_epoch, history
        self.resumed = len(history)

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the bar; `disable=None` hides it where there is no terminal."""
        total = self.epochs * self.steps
        self.bar = tqdm(
            total=total, initial=self.resumed * self.steps, unit="step", disable=None, leave=False
        )
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

    def on_epoch_end(self, epoch: int, logs: Row | None = None) -> None:
        """Checks, prints and passes on the metrics of the epoch."""
        row: Row = {"epoch": epoch + 1, **(logs or {})}
        if not all(math.isfinite(value) for value in row.values()):
            self.bar.close()
            raise TrainingError(
                f"the loss is not finite in epoch {epoch + 1}: {row['loss']}, validation {row['val_loss']}",
                "lower train.learning_rate; no model was written",
            )
        row["learning_rate"] = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row["seconds"] = round(self.seconds, 3)
        row["images_per_second"] = round(self.steps * self.batch_size / self.seconds, 1)
        self.history.append(row)
        done = len(self.history) - self.resumed
        left = (time.perf_counter() - self.started) / done * (self.epochs - epoch - 1)
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


class TrainingState(keras.callbacks.Callback):  # type: ignore[misc]
    """Stores weights, optimizer and history after each epoch, so that a killed training can be resumed.

    Keras's own BackupAndRestore writes weights and epoch one after the other: killed in between, it would
    repeat an epoch on the weights after it. Here all is one object, written as a whole. A storage that fails
    during the training is reported, and the training goes on.

    Args:
        place: Path or `s3://BUCKET/KEY`, named after the inputs of the training.
        machines: The machines of the epochs, stored with it.
    """

    def __init__(self, place: str, machines: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__()
        self.machines = list(machines)
        folder, _, self.name = place.rpartition("/")
        self.storage = open_storage(folder)
        self.history: list[Row] = []

    def restore(self, model: keras.Model) -> int:
        """Restores a stored state into a compiled model; returns its number of finished epochs.

        Raises:
            StorageError: The storage cannot be read.
        """
        content = self.storage.read(self.name)
        if content is None:
            return 0
        try:
            history, _, values = unpack_state(content)
        except DamagedStateError:
            print(f"the state kept in {self.storage.place(self.name)} is damaged: training begins anew")
            return 0
        model.optimizer.build(model.trainable_variables)
        for variable, value in zip(_variables(model), values, strict=True):
            variable.assign(value)
        self.history.extend(history)
        return len(history)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stores the state."""
        content = pack_state(self.history, self.machines, _variables(self.model))
        try:
            self.storage.write(self.name, content)
        except StorageError as error:
            tqdm.write(f"the state after epoch {epoch + 1} is not kept, training goes on: {error}")

    def remove(self) -> None:
        """Removes the state when the training has ended."""
        try:
            self.storage.remove(self.name)
        except StorageError as error:
            print(f"the state of this training is left behind: {error}")


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]
