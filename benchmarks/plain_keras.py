"""`cnn-32-100` the plain way, as such projects' READMEs do it: arrays, `fit`, nothing else.

Stands on its own: it reads the four IDX files, prints Keras's lines, and writes seconds of training and test
accuracy after each epoch as CSV to the file named on the command line.
"""

import sys
import time
from typing import Any

import keras
import numpy as np
from keras import layers

Logs = dict[str, float] | None


def load(kind: str) -> tuple[Any, Any]:
    """The images in 0 to 1 with a channel, and the one-hot labels."""
    images = np.fromfile(f"data/{kind}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28, 28, 1)
    labels = np.fromfile(f"data/{kind}-labels-idx1-ubyte", np.uint8, offset=8)
    return images.astype("float32") / 255, keras.utils.to_categorical(labels, 10)


class Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Seconds of training, without the test after each epoch."""

    def on_train_begin(self, logs: Logs = None) -> None:
        """Sets the clock to zero."""
        self.rows: list[tuple[float, float]] = []
        self.seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Starts the clock."""
        self.started = time.perf_counter()

    def on_test_begin(self, logs: Logs = None) -> None:
        """Stops the clock."""
        self.seconds += time.perf_counter() - self.started

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Keeps the epoch's figures."""
        self.rows.append((self.seconds, (logs or {})["val_accuracy"]))


model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu", kernel_initializer="he_uniform"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(100, activation="relu", kernel_initializer="he_uniform"),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    optimizer=keras.optimizers.SGD(learning_rate=0.01, momentum=0.9),
    loss="categorical_crossentropy",
    metrics=["accuracy"],
)
clock = Clock()
images, labels = load("train")
model.fit(
    images, labels, epochs=10, batch_size=32, validation_data=load("t10k"), callbacks=[clock], verbose=2
)
np.savetxt(sys.argv[1], clock.rows, delimiter=",", header="seconds,accuracy", comments="")
