"""Augmentations of a batch of raw images, uint8 `(n, height, width)`, by random numbers in [0, 1)."""

import tensorflow as tf

ERASED_AREA, ERASED_ASPECT = (0.02, 0.4), (0.3, 3.3)
"""Range of a rectangle's share of the image, and of its height over its width."""


def shift(images: tf.Tensor, pixels: int, draws: tf.Tensor) -> tf.Tensor:
    """Moves each image by up to `pixels` in each direction, padded with black. `draws`: `(n, 2)`."""
    height, width = images.shape[1:]
    images = tf.pad(images, [[0, 0], [pixels, pixels], [pixels, pixels]])
    top, left = tf.unstack(tf.cast(draws * (2 * pixels + 1), tf.int32), axis=1)
    images = tf.gather(images, top[:, None] + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(images, left[:, None] + tf.range(width), axis=2, batch_dims=1)


def cut(images: tf.Tensor, side: int, value: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
    """Sets a square in each image to a value. `draws`: `(n, 2)`, the square's centre.

    T. DeVries, G. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017.
    """
    height, width = images.shape[1:]
    top, left = tf.unstack(tf.cast(draws * [height, width], tf.int32) - side // 2, axis=1)
    return tf.where(rectangles(top, left, side, side, (height, width)), value, images)


def erase(images: tf.Tensor, probability: float, draws: tf.Tensor) -> tf.Tensor:
    """Random erasing: sets a rectangle to noise, with this probability.

    Z. Zhong et al., "Random Erasing Data Augmentation", 2017, with the paper's range of areas. The rectangle
    is cut off at the image's height and width; its aspect ratio is uniform in the logarithm.

    Args:
        images: The batch.
        probability: Of an image to be changed.
        draws: `(n, 5)`: of area, aspect ratio, top, left, and whether the image is changed. The first image's
            are the seed of the noise.
    """
    height, width = images.shape[1:]
    (smallest, largest), (flattest, steepest) = ERASED_AREA, ERASED_ASPECT
    area = (smallest + (largest - smallest) * draws[:, 0]) * height * width
    aspect = flattest * (steepest / flattest) ** draws[:, 1]
    h = tf.minimum(tf.cast(tf.round(tf.sqrt(area * aspect)), tf.int32), height)
    w = tf.minimum(tf.cast(tf.round(tf.sqrt(area / aspect)), tf.int32), width)
    top = tf.cast(draws[:, 2] * tf.cast(height + 1 - h, tf.float32), tf.int32)
    left = tf.cast(draws[:, 3] * tf.cast(width + 1 - w, tf.float32), tf.int32)
    noise = tf.random.stateless_uniform(
        tf.shape(images), tf.bitcast(draws[0, :2], tf.int32), maxval=256, dtype=tf.int32
    )
    chosen = rectangles(top, left, h[:, None], w[:, None], (height, width))
    chosen &= (draws[:, 4] < probability)[:, None, None]
    return tf.where(chosen, tf.cast(noise, tf.uint8), images)


def rectangles(
    top: tf.Tensor, left: tf.Tensor, height: tf.Tensor | int, width: tf.Tensor | int, size: tuple[int, int]
) -> tf.Tensor:
    """Which pixels lie in each image's rectangle: bool `(n, *size)`.

    `top` and `left`: int32 `(n,)`; `height` and `width`: one for all, or int32 `(n, 1)`.
    """
    rows, columns = tf.range(size[0]) - top[:, None], tf.range(size[1]) - left[:, None]
    inside_rows, inside_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    return inside_rows[:, :, None] & inside_columns[:, None, :]
