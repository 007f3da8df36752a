"""The augmentations of the trials that training itself does not have."""

import tensorflow as tf

from benchmarks.recipe.options import Options
from components.train.augmentation import rectangles

SMALL = 20
"""Side in pixels of the images of `--small`."""


def cutmix(images: tf.Tensor, targets: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sets a rectangle of all images to that of the next image (S. Yun et al., "CutMix", 2019)."""
    height, width = images.shape[1:]
    share = tf.sqrt(1 - draws[:1, 0])
    h, w = (tf.cast(tf.round(side * share), tf.int32) for side in (height, width))
    top, left = (tf.cast(draws[:1, i] * s, tf.int32) - n // 2 for i, s, n in ((1, height, h), (2, width, w)))
    mask = rectangles(top, left, h[:, None], w[:, None], (height, width))
    mixed = tf.reduce_mean(tf.cast(mask, tf.float32))
    images = tf.where(mask, tf.roll(images, 1, 0), images)
    return images, targets * (1 - mixed) + tf.roll(targets, 1, 0) * mixed


def shrink(images: tf.Tensor) -> tf.Tensor:
    """The images at 20x20 pixels."""
    small = tf.image.resize(tf.cast(images, tf.float32)[..., None], (SMALL, SMALL), antialias=True)
    return tf.cast(tf.round(small[..., 0]), tf.uint8)


def with_cutmix(batches: tf.data.Dataset, options: Options, steps: int) -> tf.data.Dataset:
    """The batches of training, those of the last epochs with cutmix."""
    if not options.cutmix_epochs:
        return batches
    first = steps * (1 - options.cutmix_epochs / options.epochs)

    def change(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        if tf.cast(step, tf.float32) >= first:
            return cutmix(*batch, tf.random.stateless_uniform([1, 3], [options.seed, step]))
        return batch

    return batches.enumerate().map(change, 2, deterministic=True).prefetch(4)
