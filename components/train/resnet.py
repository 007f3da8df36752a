"""Small residual networks whose first, frozen layer whitens patches. Experiments: `docs/recipe.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from components.common.idx import Bytes
from components.train.settings import Shape

if TYPE_CHECKING:
    import keras
    import numpy.typing as npt

PATCH = 4
"""Side of the whitened patches in pixels."""
WHITENING_IMAGES, WHITENING_PATCHES = 5000, 3_125_000
"""Upper limits of the sample for the covariance; so many patches take 400 MB in float64."""


def residual(
    shape: Shape, batch_norm: Any, widths: tuple[int, int, int], strides: Literal[2, 4] = 2
) -> keras.Model:
    """Three stages of a convolution and a residual block: at half the image size, a quarter, and a quarter.

    The design (whitening, pooling before normalisation, global maximum, scaled logits) is that of D. Page's
    network for CIFAR-10 ("How to Train Your ResNet", 2018).

    Args:
        shape: What the network is built for.
        batch_norm: Class of the batch normalisation layers.
        widths: Channels of the three stages.
        strides: Of the first layer. With 4, all three stages are at a quarter of the image size.

    Returns:
        A network from raw images, uint8 `(n, height, width)`, to logits `(n, classes)`.
    """
    from keras import Input, Model, layers, regularizers

    decay = regularizers.L2(shape.l2 / 2)

    def normalise(x: Any) -> Any:
        return layers.ReLU()(batch_norm(momentum=0.9, epsilon=1e-3)(x))

    def convolve(x: Any, filters: int, size: int = 3, pool: bool = False) -> Any:
        x = layers.Conv2D(
            filters,
            size,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=decay if shape.filters_decay else None,
        )(x)
        return normalise(layers.MaxPooling2D()(x) if pool else x)

    def block(x: Any, filters: int) -> Any:
        return layers.Add()([x, convolve(convolve(x, filters), filters)])

    images = Input((shape.height, shape.width), dtype="uint8", name="images")
    x = layers.Rescaling(1 / (255 * shape.pixel_std), -shape.pixel_mean / shape.pixel_std)(images)
    x = layers.Reshape((shape.height, shape.width, 1))(x)
    patches = 2 * PATCH**2
    x = layers.Conv2D(
        patches,
        PATCH,
        strides=strides,
        padding="same",
        use_bias=False,
        trainable=False,
        name="whitening",
    )(x)
    x = normalise(x)
    if widths[0] != patches:
        x = convolve(x, widths[0], size=1)
    x = block(x, widths[0])
    x = block(convolve(x, widths[1], pool=strides == 2), widths[1])
    x = block(convolve(x, widths[2]), widths[2])
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dense(shape.classes, use_bias=False, kernel_regularizer=decay)(x)
    logits = layers.Rescaling(0.25, dtype="float32", name="logits")(x)
    return Model(images, logits)


def whiten(network: keras.Model, images: Bytes, shape: Shape, seed: int) -> None:
    """Sets the whitening kernel of a network of `residual`."""
    network.get_layer("whitening").set_weights([whitening_kernel(images, shape, seed)])


def whitening_kernel(images: Bytes, shape: Shape, seed: int) -> npt.NDArray[np.float32]:
    """The whitening kernel, float32 `(4, 4, 1, 32)`, from a random sample of raw images `(n, height, width)`.

    It holds the eigenvectors of the covariance of the patches, divided by their standard deviations, each
    with both signs because a ReLU follows. 0.02 is added to the eigenvalues: flat patches of the background
    make the smallest ones nearly 0.
    """
    per_image = (shape.height - PATCH + 1) * (shape.width - PATCH + 1)
    count = max(1, min(WHITENING_IMAGES, WHITENING_PATCHES // per_image))
    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    pixels = (images[chosen] / 255 - shape.pixel_mean) / shape.pixel_std
    patches = np.lib.stride_tricks.sliding_window_view(pixels, (PATCH, PATCH), (1, 2)).reshape(-1, PATCH**2)
    values, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    kernel = (vectors / np.sqrt(np.maximum(values, 0) + 2e-2)).reshape(PATCH, PATCH, 1, -1)
    return np.concatenate([kernel, -kernel], axis=-1).astype(np.float32)
