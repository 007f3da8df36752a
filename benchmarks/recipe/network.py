"""The network of `components/train/resnet.py`, with what the options change in it."""

from typing import Any

import keras
import numpy as np
from keras import Input, Model, layers, regularizers

from benchmarks.recipe.options import Options
from components.common.idx import Bytes
from components.train.layers import FusedBatchNormalization
from components.train.resnet import PATCH, whitening_kernel
from components.train.settings import Shape


def dirac(shape: tuple[int, ...], dtype: Any = None) -> Any:  # noqa: ARG001 - Keras passes it
    """Filters that begin as the identity on as many channels as there are; the others are He-normal."""
    filters = np.array(
        keras.initializers.HeNormal(keras.random.SeedGenerator(np.random.randint(2**30)))(shape)
    )
    channels = np.arange(min(shape[2], shape[3]))
    filters[..., channels] = 0
    filters[shape[0] // 2, shape[1] // 2, channels, channels] = 1
    return filters


def build(options: Options, widths: str, images: Bytes, shape: Shape, strides: int = 2) -> Model:
    """A network from raw images of any size to logits, its front whitened by train images."""
    decay = regularizers.L2(shape.l2 / 2)

    def normalise(x: Any) -> Any:
        x = FusedBatchNormalization(momentum=options.norm_momentum, epsilon=1e-3)(x)
        return layers.Activation(options.activation)(x)

    def convolve(x: Any, filters: int, size: int = 3, pool: bool = False) -> Any:
        x = layers.Conv2D(
            filters,
            size,
            padding="same",
            use_bias=False,
            kernel_initializer=dirac if options.filters == "dirac" and size == 3 else "he_normal",
            kernel_regularizer=regularizers.L2(options.filters_l2 / 2),
        )(x)
        return normalise(layers.MaxPooling2D()(x) if pool else x)

    def block(x: Any, filters: int) -> Any:
        return layers.Add()([x, convolve(convolve(x, filters), filters)])

    first, second, third = map(int, widths.split(","))
    raw = Input((None, None), dtype="uint8")
    x = layers.Rescaling(1 / (255 * shape.pixel_std), -shape.pixel_mean / shape.pixel_std)(raw)
    biased = options.front == "bias"
    front = layers.Conv2D(
        2 * PATCH**2, PATCH, strides=strides, padding="same", use_bias=biased, name="whitening"
    )
    x = front(keras.ops.expand_dims(x, -1))
    front.set_weights([whitening_kernel(images, shape, options.seed), *[np.zeros(2 * PATCH**2)] * biased])
    x = layers.Activation(options.activation)(x) if biased else normalise(x)
    if first != 2 * PATCH**2:
        x = convolve(x, first, size=1)
    x = block(x, first)
    x = block(convolve(x, second, pool=strides == 2), second)
    x = block(convolve(x, third), third)
    x = layers.Dense(shape.classes, use_bias=False, kernel_regularizer=decay)(layers.GlobalMaxPooling2D()(x))
    return Model(raw, layers.Rescaling(options.head, dtype="float32")(x))
