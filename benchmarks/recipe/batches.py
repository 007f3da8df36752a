"""The augmentations of the trials that training itself does not have."""

from typing import Any

import tensorflow as tf

from benchmarks.recipe.options import Options

SMALL = 20
"""Side in pixels of the images of `--small`."""


def inside(top: Any, left: Any, height: Any, width: Any, size: tuple[int, int]) -> tf.Tensor:
    """Which pixels lie in the rectangles: bool `(n, *size)`."""
    rows, columns = tf.range(size[0]) - top[:, None], tf.range(size[1]) - left[:, None]
    in_rows, in_columns = (rows >= 0) & (rows < height[:, None]), (columns >= 0) & (columns < width[:, None])
    return in_rows[:, :, None] & in_columns[:, None, :]


def erase(images: tf.Tensor, probability: float, draws: tf.Tensor, seed: Any) -> tf.Tensor:
    """Sets a rectangle to noise (Z. Zhong et al., "Random Erasing Data Augmentation", 2017)."""
    height, width = images.shape[1:]
    area = (0.02 + 0.38 * draws[:, 0]) * height * width
    aspect = tf.exp(tf.math.log(0.3) + draws[:, 1] * tf.math.log(3.3 / 0.3))
    h = tf.minimum(tf.cast(tf.round(tf.sqrt(area * aspect)), tf.int32), height)
    w = tf.minimum(tf.cast(tf.round(tf.sqrt(area / aspect)), tf.int32), width)
    top = tf.cast(draws[:, 2] * tf.cast(height + 1 - h, tf.float32), tf.int32)
    left = tf.cast(draws[:, 3] * tf.cast(width + 1 - w, tf.float32), tf.int32)
    noise = tf.random.stateless_uniform(tf.shape(images), seed, maxval=256, dtype=tf.int32)
    mask = inside(top, left, h, w, (height, width)) & (draws[:, 4] < probability)[:, None, None]
    return tf.where(mask, tf.cast(noise, tf.uint8), images)


def cutmix(images: tf.Tensor, targets: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sets a rectangle of all images to that of the next image (S. Yun et al., "CutMix", 2019)."""
    height, width = images.shape[1:]
    share = tf.sqrt(1 - draws[:1, 0])
    h, w = (tf.cast(tf.round(side * share), tf.int32) for side in (height, width))
    top, left = (tf.cast(draws[:1, i] * s, tf.int32) - n // 2 for i, s, n in ((1, height, h), (2, width, w)))
    mask = inside(top, left, h, w, (height, width))
    mixed = tf.reduce_mean(tf.cast(mask, tf.float32))
    images = tf.where(mask, tf.roll(images, 1, 0), images)
    return images, targets * (1 - mixed) + tf.roll(targets, 1, 0) * mixed


def shrink(images: tf.Tensor) -> tf.Tensor:
    """The images at 20x20 pixels."""
    small = tf.image.resize(tf.cast(images, tf.float32)[..., None], (SMALL, SMALL), antialias=True)
    return tf.cast(tf.round(small[..., 0]), tf.uint8)


def augmented(batches: tf.data.Dataset, options: Options, steps: int) -> tf.data.Dataset:
    """The batches of training, augmented further."""
    cutmix_from = steps * (1 - options.cutmix_epochs / options.epochs)

    def change(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, targets = batch
        draws = tf.random.stateless_uniform([len(images), 8], [options.seed, step])
        if options.erase:
            images = erase(images, options.erase, draws, [options.seed, -1 - step])
        if options.cutmix_epochs and tf.cast(step, tf.float32) >= cutmix_from:
            images, targets = cutmix(images, targets, draws[:, 5:])
        return images, targets

    return batches.enumerate().map(change, 2, deterministic=True).prefetch(4)
