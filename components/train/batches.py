"""The training batches with augmentation, a function of seed and epoch."""

import tensorflow as tf

from components.common.idx import Bytes
from components.train.augmentation import cut, erase, shift
from components.train.settings import Settings


def training_batches(
    images: Bytes,
    labels: Bytes,
    classes: int,
    settings: Settings,
    *,
    first_epoch: int,
    steps: int,
    seed: int,
) -> tf.data.Dataset:
    """Shuffled batches, `steps` of each epoch from `first_epoch` on.

    Order and augmentation depend on (seed, epoch) alone, so that a resumed training gets the same batches.
    (After `set_random_seed`, `fit` on arrays would repeat one order in every epoch.) Augmentations:

    - `flip`: mirrors an image in every other epoch; a random number per image decides in which ones
      (K. Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", 2024, "alternating flip").
    - `shift`, `cutout` (to the mean of all images), `erase`: see `augmentation.py`.

    Returns:
        Pairs of uint8 `(batch, height, width)` and one-hot float32 `(batch, classes)`.
    """
    all_images, all_labels = tf.constant(images), tf.constant(labels)
    count = len(images)
    mean = tf.constant(round(float(images.mean())), tf.uint8)
    coins = tf.random.stateless_uniform([count], [seed, -1], maxval=2, dtype=tf.int64)

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        seed_of_epoch = tf.stack([tf.constant(seed, tf.int64), epoch])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed_of_epoch)
        mirrored = tf.math.floormod(tf.gather(coins, order) + epoch, 2) == 1
        draws = tf.random.stateless_uniform([count, 4], seed_of_epoch)
        seed_of_erasures = tf.random.experimental.stateless_fold_in(seed_of_epoch, 1)
        erasures = tf.random.stateless_uniform([count, 5], seed_of_erasures)
        rows = tf.data.Dataset.from_tensor_slices((order, mirrored, draws, erasures))
        return rows.batch(settings.images_per_step, drop_remainder=True).take(steps)

    def gather(
        order: tf.Tensor, mirrored: tf.Tensor, draws: tf.Tensor, erasures: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        batch = tf.gather(all_images, order)
        if settings.flip:
            batch = tf.where(mirrored[:, None, None], tf.reverse(batch, [2]), batch)
        if settings.shift:
            batch = shift(batch, settings.shift, draws[:, :2])
        if settings.cutout:
            batch = cut(batch, settings.cutout, mean, draws[:, 2:])
        if settings.erase:
            batch = erase(batch, settings.erase, erasures)
        return batch, tf.one_hot(tf.gather(all_labels, order), classes)

    epoch_numbers = tf.data.Dataset.range(first_epoch, settings.epochs)
    batches = epoch_numbers.flat_map(epoch_batches).map(gather, 2, deterministic=True).prefetch(8)
    return without_autotuning(batches)


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Switches off tf.data's autotuning: at the end of an iteration, it waits for a thread that may sleep.

    That thread sleeps for 10 ms, then twice as long each time, up to a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
