"""The networks, by name. Each maps raw images, uint8 `(n, height, width)`, to logits `(n, classes)`.

A new network is a function here and a line in `MODELS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Shape:
    """What a network needs to know of the data and of the training."""

    height: int
    width: int
    classes: int
    pixel_mean: float
    pixel_std: float
    l2: float


Layer = Callable[..., Any]
Builder = Callable[[Shape, Layer], "keras.Model"]
"""Builds a network; the second argument makes its batch normalisation layers."""


def small_resnet(shape: Shape, batch_norm: Layer) -> keras.Model:
    """Five convolutions and one residual block: 389,600 parameters for 28x28 images, 10 classes.

    The shape of the net that D. Page trained fast on CIFAR-10 ("How to Train Your ResNet", 2018),
    with a narrower stem. Pooling stands before normalisation, which then works on a quarter of the pixels.
    """
    from keras import Input, Model, layers, regularizers

    def conv_block(x: Any, filters: int, pool: bool = False) -> Any:
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=regularizers.L2(shape.l2 / 2),
        )(x)
        if pool:
            x = layers.MaxPooling2D()(x)
        x = batch_norm(momentum=0.9, epsilon=1e-3)(x)
        return layers.ReLU()(x)

    images = Input((shape.height, shape.width), dtype="uint8", name="images")
    x = layers.Rescaling(1 / (255 * shape.pixel_std), -shape.pixel_mean / shape.pixel_std)(images)
    x = layers.Reshape((shape.height, shape.width, 1))(x)
    x = conv_block(x, 32, pool=True)
    x = conv_block(x, 64, pool=True)
    x = conv_block(x, 128)
    x = layers.Add()([x, conv_block(conv_block(x, 128), 128)])
    x = layers.GlobalMaxPooling2D()(x)
    x = layers.Dense(shape.classes, use_bias=False, kernel_regularizer=regularizers.L2(shape.l2 / 2))(x)
    logits = layers.Rescaling(0.25, dtype="float32", name="logits")(x)
    return Model(images, logits, name="small-resnet")


MODELS: dict[str, Builder] = {"small-resnet": small_resnet}
MODEL_NAMES = tuple(MODELS)
