"""The networks of five public Fashion-MNIST projects, as their authors wrote them.

Each maps raw images, uint8 `(n, height, width)`, to logits `(n, classes)`; a softmax at the end is
the exported model's. None has batch normalisation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from components.train.settings import Shape

if TYPE_CHECKING:
    import keras


def _images(shape: Shape, channels: bool = True) -> tuple[Any, Any]:
    from keras import Input, layers

    images = Input((shape.height, shape.width), dtype="uint8", name="images")
    x = layers.Rescaling(1 / 255)(images)
    return images, layers.Reshape((shape.height, shape.width, 1))(x) if channels else x


def _model(name: str, images: Any, x: Any, shape: Shape) -> keras.Model:
    from keras import Model, layers

    return Model(images, layers.Dense(shape.classes, dtype="float32", name="logits")(x), name=name)


def cnn_32(shape: Shape, _: Any) -> keras.Model:
    """One convolution and a small dense layer: 173,738 parameters for 28x28 images, 10 classes."""
    from keras import layers

    images, x = _images(shape)
    x = layers.Conv2D(32, 3, activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(32, activation="relu")(x)
    return _model("cnn-32", images, x, shape)


def cnn_32_100(shape: Shape, _: Any) -> keras.Model:
    """One convolution and a dense layer of 100, He uniform: 542,230 parameters."""
    from keras import layers

    images, x = _images(shape)
    x = layers.Conv2D(32, 3, activation="relu", kernel_initializer="he_uniform")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(100, activation="relu", kernel_initializer="he_uniform")(x)
    return _model("cnn-32-100", images, x, shape)


def cnn_64_64_512(shape: Shape, _: Any) -> keras.Model:
    """Two convolutions and a dense layer of 512: 862,410 parameters."""
    from keras import layers

    images, x = _images(shape)
    for _ in range(2):
        x = layers.Conv2D(64, 3, activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(512, activation="relu")(x)
    return _model("cnn-64-64-512", images, x, shape)


def cnn_3x64_128(shape: Shape, _: Any) -> keras.Model:
    """Three convolutions with pooling and a dense layer of 128, He uniform: 149,642 parameters."""
    from keras import layers

    images, x = _images(shape)
    for _ in range(3):
        x = layers.Conv2D(64, 3, padding="same", activation="relu", kernel_initializer="he_uniform")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu", kernel_initializer="he_uniform")(x)
    return _model("cnn-3x64-128", images, x, shape)


def mlp_128_64(shape: Shape, _: Any) -> keras.Model:
    """Two dense layers: 109,386 parameters."""
    from keras import layers

    images, x = _images(shape, channels=False)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dense(64, activation="relu")(x)
    return _model("mlp-128-64", images, x, shape)
