"""Fits a network: Keras's own `fit` on a stream of batches, on one device or on several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from components.common import idx
from components.common.errors import TrainingError
from components.common.tensorflow import import_tensorflow
from components.train.precision import resolve
from components.train.settings import Settings, Shape
from components.train.zoo import Builder, Entry

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

STEPS_PER_EXECUTION = range(25, 61)
"""How many steps may run inside TensorFlow between two returns to Python: a third faster than one."""
VALIDATION_BATCH = 500

Row = dict[str, float]
Split = tuple[idx.Bytes, idx.Bytes]


def fit(
    entry: Entry,
    training: Split,
    held_out: Split,
    shape: Shape,
    settings: Settings,
    *,
    seed: int,
    on_epoch: Callable[[Row], None],
    state: str,
    machines: Sequence[dict[str, Any]] = (),
) -> tuple[keras.Model, list[Row]]:
    """Trains a network, from the last epoch that an earlier, killed call has kept in `state`.

    Args:
        entry: Makes the network. Its settings are not looked at.
        training: Images, uint8 `(n, height, width)`, and labels, uint8 `(n,)`.
        held_out: The same for validation after each epoch.
        shape: What the network needs to know.
        settings: How it is trained.
        seed: Of weights, order and augmentation.
        on_epoch: Called with each epoch's row.
        state: Path or `s3://BUCKET/KEY` of what keeps the state after each epoch, named after the
            content of this training.
        machines: What is kept there of the machines.

    Returns:
        The network, from raw images to logits, and the rows of its epochs.

    Raises:
        TrainingError: The loss is not finite.
        StorageError: What `state` names cannot be read.
    """
    import_tensorflow()
    import keras
    import tensorflow as tf

    from components.train.batches import training_batches, without_autotuning
    from components.train.callbacks import EpochLog, TrainingState
    from components.train.layers import FusedBatchNormalization
    from components.train.optimizer import make_optimizer

    images, labels = training
    keras.utils.set_random_seed(seed)
    steps, steps_per_execution = steps_per_epoch(len(images) // settings.batch_size)
    devices, xla = strategy(), settings.xla
    if devices.num_replicas_in_sync > 1:  # Keras's XLA and its loop of several steps fail on replicas
        print(f"training on {devices.num_replicas_in_sync} devices, step by step and without XLA")
        steps_per_execution, xla = 1, False
    if not xla:  # Keras drops XLA when this is on; on a CPU it costs 3 %
        tf.config.experimental.enable_op_determinism()
    with devices.scope(), _precision(resolve(settings.precision)):
        network = entry.build(shape, FusedBatchNormalization)
        if entry.prepare:
            entry.prepare(network, images, shape, seed)
        network.compile(
            optimizer=make_optimizer(settings, steps * settings.epochs),
            loss=keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=settings.label_smoothing
            ),
            metrics=["accuracy"],
            steps_per_execution=steps_per_execution,
            jit_compile=xla,
        )
        keeper = TrainingState(state, machines)
        epochs_done = keeper.restore(network)
        if epochs_done:
            print(f"going on after epoch {epochs_done} of {settings.epochs}, kept by a run that was stopped")
        log = EpochLog(settings.epochs, steps, settings.batch_size, on_epoch, keeper.history)
        classes = shape.classes
        batches = training_batches(
            images, labels, classes, settings, first_epoch=epochs_done, steps=steps, seed=seed
        )
        one_hot = keras.utils.to_categorical(held_out[1], classes)
        validation = tf.data.Dataset.from_tensor_slices((held_out[0], one_hot)).batch(VALIDATION_BATCH)
        if epochs_done < settings.epochs:
            network.fit(
                batches,
                initial_epoch=epochs_done,
                epochs=settings.epochs,
                steps_per_epoch=steps,
                validation_data=without_autotuning(validation),
                callbacks=[log, keeper],
                shuffle=False,  # the batches are shuffled already
                verbose=0,
            )
    return network, log.history


def steps_per_epoch(batches: int) -> tuple[int, int]:
    """Steps of an epoch of so many batches, and steps per execution, which must divide them.

    Keras rounds an epoch up to whole executions, so what does not divide is left out instead: of
    each epoch's own shuffle, with ordinary sizes, two batches at most.
    """
    if batches < STEPS_PER_EXECUTION.start:
        return batches, batches
    size = max(STEPS_PER_EXECUTION, key=lambda size: (batches - batches % size, size))
    return batches - batches % size, size


def hold_out(labels: idx.Bytes, count: int, seed: int) -> tuple[Any, Any]:
    """Row numbers to fit and to hold out, the latter with the classes in the data's proportions.

    Raises:
        TrainingError: So many cannot be held out.
    """
    import numpy as np
    from sklearn.model_selection import train_test_split

    try:
        return tuple(
            train_test_split(np.arange(len(labels)), test_size=count, random_state=seed, stratify=labels)
        )
    except ValueError as error:
        raise TrainingError(
            f"{count} validation images cannot be held out: {error}", "change train.validation_images"
        ) from None


def strategy() -> tf.distribute.Strategy:
    """All GPUs of this machine when there are several, each with its share of a batch; else one device."""
    import tensorflow as tf

    gpus = accelerators()
    return tf.distribute.MirroredStrategy(gpus) if len(gpus) > 1 else tf.distribute.get_strategy()


def accelerators() -> list[str]:
    """The names of this machine's GPUs."""
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices("GPU")]


@contextmanager
def _precision(precision: str) -> Iterator[None]:
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def exported(
    network: keras.Model, build: Builder, shape: Shape, settings: Settings, name: str
) -> keras.Model:
    """The same network in standard layers and float32, with the probabilities as its output.

    With `flip_average` the logits are the mean over the image and its mirror image.
    """
    import keras

    keras.utils.clear_session()  # layers are named as in a new process, whatever was built before
    plain = build(replace(shape, l2=0.0), keras.layers.BatchNormalization)
    plain.set_weights(network.get_weights())
    images, logits = plain.input, plain.output
    if settings.flip_average:
        mirrored = plain(keras.ops.flip(images, axis=2))
        logits = keras.layers.Average(name="flip_average")([logits, mirrored])
    return keras.Model(images, keras.layers.Softmax(name="probabilities")(logits), name=name)
