"""Our networks: small residual ones on a frozen whitening front. What was tried is in `docs/recipe.md`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.idx import Bytes
from components.train.settings import Shape

if TYPE_CHECKING:
    import keras
    import numpy.typing as npt

PATCH = 4
"""Side of the whitened patches in pixels; the front takes every second one in each direction."""
WHITENING_IMAGES, WHITENING_PATCHES = 5000, 3_125_000
"""As many images, or fewer larger ones, as have so many patches: 400 MB in float64."""


def residual(shape: Shape, batch_norm: Any, widths: tuple[int, int, int]) -> keras.Model:
    """Three stages of a convolution and a residual block: at half the size, a quarter, and a quarter.

    The order of things (pooling before normalisation, global maximum, scaled logits) is that of the
    net that D. Page trained fast on CIFAR-10 ("How to Train Your ResNet", 2018); the whitening
    front, too.

    Args:
        shape: Of the images, and the weight decay.
        batch_norm: Makes a batch normalisation layer.
        widths: Channels of the three stages.

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
            kernel_regularizer=decay,
        )(x)
        return normalise(layers.MaxPooling2D()(x) if pool else x)

    def block(x: Any, filters: int) -> Any:
        return layers.Add()([x, convolve(convolve(x, filters), filters)])

    images = Input((shape.height, shape.width), dtype="uint8", name="images")
    x = layers.Rescaling(1 / (255 * shape.pixel_std), -shape.pixel_mean / shape.pixel_std)(images)
    x = layers.Reshape((shape.height, shape.width, 1))(x)
    patches = 2 * PATCH**2
    x = layers.Conv2D(
        patches, PATCH, strides=2, padding="same", use_bias=False, trainable=False, name="whitening"
    )(x)
    x = normalise(x)
    if widths[0] != patches:
        x = convolve(x, widths[0], size=1)
    x = block(x, widths[0])
    x = block(convolve(x, widths[1], pool=True), widths[1])
    x = block(convolve(x, widths[2]), widths[2])
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dense(shape.classes, use_bias=False, kernel_regularizer=decay)(x)
    logits = layers.Rescaling(0.25, dtype="float32", name="logits")(x)
    return Model(images, logits)


def whiten(network: keras.Model, images: Bytes, shape: Shape, seed: int) -> None:
    """Puts the front's kernel into a network of `residual`."""
    network.get_layer("whitening").set_weights([whitening_kernel(images, shape, seed)])


def whitening_kernel(images: Bytes, shape: Shape, seed: int) -> npt.NDArray[np.float32]:
    """The front's kernel, `(4, 4, 1, 32)`: eigenvectors of the patches' covariance over their deviation.

    Each also with the opposite sign, for the ReLU behind. Flat patches (of the background) would
    make the smallest eigenvalues explode; they are held above 0.02.

    Args:
        images: Raw images `(n, height, width)` to take the patches of some from.
        shape: Says how pixels are scaled.
        seed: Of the choice of images.
    """
    per_image = (shape.height - PATCH + 1) * (shape.width - PATCH + 1)
    count = max(1, min(WHITENING_IMAGES, WHITENING_PATCHES // per_image))
    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    pixels = (images[chosen] / 255 - shape.pixel_mean) / shape.pixel_std
    patches = np.lib.stride_tricks.sliding_window_view(pixels, (PATCH, PATCH), (1, 2)).reshape(-1, PATCH**2)
    values, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    kernel = (vectors / np.sqrt(np.maximum(values, 0) + 2e-2)).reshape(PATCH, PATCH, 1, -1)
    return np.concatenate([kernel, -kernel], axis=-1).astype(np.float32)
