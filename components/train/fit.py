"""Trains a network with Keras's `fit` on a stream of batches, on one device or on several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from components.common import idx
from components.common.errors import TrainingError
from components.common.tensorflow import import_tensorflow
from components.train import resnet
from components.train.precision import resolve
from components.train.settings import Settings, Shape
from components.train.zoo import Builder, Entry

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

STEPS_PER_EXECUTION = range(25, 61)
"""Candidates for Keras's `steps_per_execution`: a third faster than one step."""
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
    """Trains a network, or continues after the last epoch in the saved state of an interrupted call.

    Args:
        entry: Of the model zoo; builds the network. `settings` replace its settings.
        training: Images, uint8 `(n, height, width)`, and labels, uint8 `(n,)`.
        held_out: The same of the held-out validation split.
        shape: What the network is built for.
        settings: The settings of the training.
        seed: Of weights, order and augmentation.
        on_epoch: Called with the metrics of each epoch.
        state: Path or `s3://BUCKET/KEY` of the state, saved after each epoch.
        machines: The machines of this training, saved in the state.

    Returns:
        The network, from raw images to logits, and the metrics of all epochs.

    Raises:
        TrainingError: The loss is not finite.
        StorageError: The state cannot be read.
    """
    import_tensorflow()
    import keras
    import tensorflow as tf

    from components.train.batches import training_batches, without_autotuning
    from components.train.callbacks import EpochLog, TrainingState
    from components.train.layers import FusedBatchNormalization
    from components.train.optimizer import make_optimizer
    from components.train.proxy import WIDTHS as PROXY_WIDTHS
    from components.train.proxy import HardestImages

    images, labels = training
    keras.utils.set_random_seed(seed)
    steps, steps_per_execution = steps_per_epoch(len(images) // settings.images_per_step)
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
        trained = network
        if settings.proxy:
            proxy = resnet.residual(shape, FusedBatchNormalization, PROXY_WIDTHS, strides=4)
            resnet.whiten(proxy, images, shape, seed)
            trained = HardestImages(network, proxy, settings.proxy)
        trained.compile(
            optimizer=make_optimizer(settings, steps * settings.epochs),
            loss=keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=settings.label_smoothing
            ),
            metrics=["accuracy"],
            steps_per_execution=steps_per_execution,
            jit_compile=xla,
        )
        training_state = TrainingState(state, machines)
        epochs_done = training_state.restore(trained)
        if epochs_done:
            print(f"going on after epoch {epochs_done} of {settings.epochs}, saved by an interrupted run")
        log = EpochLog(settings.epochs, steps, settings.images_per_step, on_epoch, training_state.history)
        batches = training_batches(
            images, labels, shape.classes, settings, first_epoch=epochs_done, steps=steps, seed=seed
        )
        one_hot = keras.utils.to_categorical(held_out[1], shape.classes)
        validation = tf.data.Dataset.from_tensor_slices((held_out[0], one_hot)).batch(VALIDATION_BATCH)
        if epochs_done < settings.epochs:
            trained.fit(
                batches,
                initial_epoch=epochs_done,
                epochs=settings.epochs,
                steps_per_epoch=steps,
                validation_data=without_autotuning(validation),
                callbacks=[log, training_state],
                shuffle=False,  # the batches are shuffled already
                verbose=0,
            )
    return network, log.history


def steps_per_epoch(batches: int) -> tuple[int, int]:
    """Steps of an epoch with this number of batches, and `steps_per_execution`, which divides them.

    Keras would round an epoch up to whole executions. Here, the remaining batches of each epoch are left out
    instead, with usual sizes two at most.
    """
    if batches < STEPS_PER_EXECUTION.start:
        return batches, batches
    size = max(STEPS_PER_EXECUTION, key=lambda size: (batches - batches % size, size))
    return batches - batches % size, size


def hold_out(labels: idx.Bytes, count: int, seed: int) -> tuple[Any, Any]:
    """Row numbers of the training and of the held-out validation split, stratified by class.

    Raises:
        TrainingError: `count` is too small or too large.
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
    """Divides each batch among all GPUs of this machine, if there are several."""
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
    """The same network in standard layers and float32, with probabilities as its output.

    With `flip_average`, the logits are the mean of those of the image and of its mirror image.
    """
    import keras

    keras.utils.clear_session()  # so that layers have the same names as in a new process
    plain = build(replace(shape, l2=0.0), keras.layers.BatchNormalization)
    plain.set_weights(network.get_weights())
    images, logits = plain.input, plain.output
    if settings.flip_average:
        mirrored = plain(keras.ops.flip(images, axis=2))
        logits = keras.layers.Average(name="flip_average")([logits, mirrored])
    return keras.Model(images, keras.layers.Softmax(name="probabilities")(logits), name=name)
