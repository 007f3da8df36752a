"""Training: from a validated data folder to a saved model."""

from __future__ import annotations

import csv
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common import idx
from components.common.errors import DataError, TrainingError, ValidationError
from components.common.files import (
    content_key,
    data_version,
    read_json,
    source_digest,
    staged,
    write_json,
)
from components.common.tensorflow import import_tensorflow, tensorflow_version
from components.train.models import MODELS, Shape
from components.train.precision import resolve

if TYPE_CHECKING:
    import keras

    from pipeline.params import DataParams, ModelParams, TrainParams

STEPS_PER_EXECUTION = range(25, 51)
"""How many steps may run inside TensorFlow between two returns to Python: a third faster than one."""
HISTORY_COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "seconds",
    "images_per_second",
)

OnEpoch = Callable[[dict[str, float]], None]


def describe_run(
    data: Path, data_params: DataParams, model_params: ModelParams, train_params: TrainParams
) -> dict[str, Any]:
    """All that decides the weights, with the key under which the run is found again.

    The key is of the content alone: data, parameters with `precision` resolved, the sources of
    training and the version of TensorFlow. Time, host and folder are not in it.
    """
    inputs = {
        "data_version": data_version(data),
        "code_version": code_version(),
        "params": {
            "data": data_params.model_dump(),
            "model": model_params.model_dump(),
            "train": train_params.model_dump() | {"precision": resolve(train_params.precision)},
        },
        "libraries": {"keras": version("keras"), "tensorflow": tensorflow_version()},
        "processor": platform.machine(),
    }
    return {"run_key": content_key(inputs), **inputs}


def code_version() -> str:
    """The version of the code that decides the weights: a digest of its sources."""
    here = Path(__file__).parent
    return source_digest(here, here.parent / "common")


def train(
    *,
    data: Path,
    validation: Path,
    out: Path,
    data_params: DataParams,
    model_params: ModelParams,
    train_params: TrainParams,
    on_epoch: OnEpoch,
) -> dict[str, Any]:
    """Trains the network and saves it with all that is needed to use it.

    Args:
        data: Folder of the four IDX files.
        validation: `verdict.json` of the validate step; its verdict must be `passed`.
        out: Folder that receives `model.keras` (uint8 `(n, height, width)` to float32
            probabilities `(n, classes)`, standard Keras layers only), `training.json` and `history.csv`.
        data_params: Shape and statistics of the data.
        model_params: Which network.
        train_params: How it is trained.
        on_epoch: Called with the row of `history.csv` after each epoch.

    Returns:
        What `training.json` holds: `describe_run`, the weights digest, the validation metrics.

    Raises:
        ValidationError: The data did not pass validation, or is not the data that passed.
        TrainingError: The loss is not finite.
        DataError: A file is damaged or not of the declared shape.
    """
    run = describe_run(data, data_params, model_params, train_params)
    check_validated(validation, run["data_version"])
    images, labels = idx.read_split(data, "train")
    if labels.max(initial=0) >= len(data_params.classes):
        raise DataError(
            f"train has the label {labels.max()}, params.yaml names {len(data_params.classes)} classes",
            "mend data.classes in params.yaml, or the data",
        )
    if images.shape[1:] != (data_params.height, data_params.width):
        raise DataError(
            f"images are {images.shape[1:]}, params.yaml says otherwise", "mend data.height and data.width"
        )

    tf = import_tensorflow()
    import keras

    keras.utils.set_random_seed(train_params.seed)
    tf.config.experimental.enable_op_determinism()
    with _precision(run["params"]["train"]["precision"]):
        network, history = _fit(
            images, labels, data=data_params, model=model_params, params=train_params, on_epoch=on_epoch
        )
    model = _export(network, data_params, model_params, train_params)

    from components.common.saved_model import weights_digest

    training = run | {
        "weights_digest": weights_digest(model),
        "parameters": model.count_params(),
        "validation": {name: history[-1][f"val_{name}"] for name in ("accuracy", "loss")},
    }
    with staged(out) as stage:
        model.save(stage / "model.keras")
        with (stage / "history.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, HISTORY_COLUMNS)
            writer.writeheader()
            writer.writerows(history)
        write_json(stage / "training.json", training)
    return training


def check_validated(validation: Path, version_: str) -> None:
    """Refuses data that did not pass validation, or is not the data that did.

    Raises:
        ValidationError: So it is.
    """
    verdict = read_json(validation, "validate")
    if verdict["verdict"] != "passed":
        raise ValidationError(f"the data did not pass validation ({validation})", "mend the data first")
    if verdict["data_version"] != version_:
        raise ValidationError(
            f"validation saw the data {verdict['data_version']}, this is {version_}",
            "run `fashion step validate`",
        )


@contextmanager
def _precision(precision: str) -> Iterator[None]:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _shape(data: DataParams, train_params: TrainParams) -> Shape:
    return Shape(data.height, data.width, len(data.classes), data.pixel_mean, data.pixel_std, train_params.l2)


def _fit(
    images: idx.Bytes,
    labels: idx.Bytes,
    *,
    data: DataParams,
    model: ModelParams,
    params: TrainParams,
    on_epoch: OnEpoch,
) -> tuple[keras.Model, list[dict[str, float]]]:
    import keras
    import tensorflow as tf

    from components.train.batches import training_batches
    from components.train.fit import EpochLog, TriangularRate
    from components.train.layers import FusedBatchNormalization

    fit_rows, held_rows = _split(labels, params)
    steps, steps_per_execution = steps_per_epoch(len(fit_rows) // params.batch_size)
    classes = len(data.classes)
    batches = training_batches(
        images[fit_rows],
        labels[fit_rows],
        classes,
        epochs=params.epochs,
        steps=steps,
        batch_size=params.batch_size,
        seed=params.seed,
        flip=params.flip,
    )
    held_out = tf.data.Dataset.from_tensor_slices(
        (images[held_rows], keras.utils.to_categorical(labels[held_rows], classes))
    ).batch(500)

    network = MODELS[model.name](_shape(data, params), FusedBatchNormalization)
    rate = TriangularRate(params.learning_rate, params.warmup, steps * params.epochs)
    network.compile(
        optimizer=keras.optimizers.SGD(rate, momentum=params.momentum, nesterov=True),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=params.label_smoothing),
        metrics=["accuracy"],
        steps_per_execution=steps_per_execution,
        jit_compile=False,  # XLA gains nothing on a CPU (and loses with bfloat16)
    )
    log = EpochLog(params.epochs, steps, params.batch_size, rate, on_epoch)
    network.fit(
        batches,
        epochs=params.epochs,
        steps_per_epoch=steps,
        validation_data=held_out,
        callbacks=[log],
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    )
    return network, log.history


def steps_per_epoch(batches: int) -> tuple[int, int]:
    """Steps of an epoch of so many batches, and steps per execution, which must divide them.

    Keras rounds an epoch up to whole executions, so what does not divide is left out instead: of
    each epoch's own shuffle, with ordinary sizes, no batch or one.
    """
    if batches < STEPS_PER_EXECUTION.start:
        return batches, batches
    size = max(STEPS_PER_EXECUTION, key=lambda size: (batches - batches % size, size))
    return batches - batches % size, size


def _split(labels: idx.Bytes, params: TrainParams) -> tuple[Any, Any]:
    """Row numbers to fit and to hold out, the latter with the classes in the data's proportions."""
    import numpy as np
    from sklearn.model_selection import train_test_split

    try:
        return tuple(
            train_test_split(
                np.arange(len(labels)),
                test_size=params.validation_images,
                random_state=params.seed,
                stratify=labels,
            )
        )
    except ValueError as error:
        raise TrainingError(
            f"{params.validation_images} validation images cannot be held out: {error}",
            "change train.validation_images",
        ) from None


def _export(network: keras.Model, data: DataParams, model: ModelParams, params: TrainParams) -> keras.Model:
    """The same network in standard layers and float32, with the probabilities as its output."""
    import keras

    plain = MODELS[model.name](_shape(data, params), keras.layers.BatchNormalization)
    plain.set_weights(network.get_weights())
    probabilities = keras.layers.Softmax(name="probabilities")(plain.output)
    return keras.Model(plain.input, probabilities, name=model.name)
