"""The networks of five public Fashion-MNIST projects, as their authors defined them.

Each maps raw images, uint8 `(n, height, width)`, to logits `(n, classes)`; the exported model adds a softmax.
None has batch normalisation, so the second argument is not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.train.settings import Shape

if TYPE_CHECKING:
    import keras


def cnn_32(shape: Shape, _: Any) -> keras.Model:
    """One convolution and a small dense layer: 173,738 parameters for 28x28 images, 10 classes."""
    from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D

    hidden = [Conv2D(32, 3, activation="relu"), MaxPooling2D(), Flatten(), Dense(32, activation="relu")]
    return _network("cnn-32", shape, hidden)


def cnn_32_100(shape: Shape, _: Any) -> keras.Model:
    """One convolution and a dense layer of 100, He uniform: 542,230 parameters."""
    from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D

    options = {"activation": "relu", "kernel_initializer": "he_uniform"}
    hidden = [Conv2D(32, 3, **options), MaxPooling2D(), Flatten(), Dense(100, **options)]
    return _network("cnn-32-100", shape, hidden)


def cnn_64_64_512(shape: Shape, _: Any) -> keras.Model:
    """Two convolutions and a dense layer of 512: 862,410 parameters."""
    from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D

    convolutions = [layer for _ in range(2) for layer in (Conv2D(64, 3, activation="relu"), MaxPooling2D())]
    return _network("cnn-64-64-512", shape, [*convolutions, Flatten(), Dense(512, activation="relu")])


def cnn_3x64_128(shape: Shape, _: Any) -> keras.Model:
    """Three convolutions with pooling and a dense layer of 128, He uniform: 149,642 parameters."""
    from keras.layers import Conv2D, Dense, Flatten, MaxPooling2D

    options = {"activation": "relu", "kernel_initializer": "he_uniform"}
    convolutions = [
        layer for _ in range(3) for layer in (Conv2D(64, 3, padding="same", **options), MaxPooling2D())
    ]
    return _network("cnn-3x64-128", shape, [*convolutions, Flatten(), Dense(128, **options)])


def mlp_128_64(shape: Shape, _: Any) -> keras.Model:
    """Two dense layers: 109,386 parameters."""
    from keras.layers import Dense, Flatten

    hidden = [Flatten(), Dense(128, activation="relu"), Dense(64, activation="relu")]
    return _network("mlp-128-64", shape, hidden, channels=False)


def _network(name: str, shape: Shape, hidden: list[Any], channels: bool = True) -> keras.Model:
    from keras import Input, Model, layers

    images = Input((shape.height, shape.width), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255)(images)
    if channels:
        x = layers.Reshape((shape.height, shape.width, 1))(x)
    for layer in hidden:
        x = layer(x)
    return Model(images, layers.Dense(shape.classes, dtype="float32", name="logits")(x), name=name)
