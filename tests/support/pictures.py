"""A small network without training, and pictures for it: what it sees of them is known to the pixel."""

import io
from typing import Any

import numpy as np
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
from PIL import Image

from components.predict.picture import read_picture, to_input
from components.registry.model import LoadedModel

SQUARE = np.zeros((28, 28), np.uint8)
SQUARE[4:24, 4:24] = 200
CLASSES = ("T-shirt/top", "Trouser", "Bag")


def loaded_model(version: int = 3, weights: str = "ab" * 32) -> LoadedModel:
    """A registered version; its network has given weights."""
    import keras

    image = keras.Input((28, 28), dtype="uint8")
    pixels = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    dense = keras.layers.Dense(len(CLASSES), activation="softmax")
    network = keras.Model(image, dense(pixels))
    random = np.random.default_rng(version)
    dense.set_weights([random.normal(0, 0.2, (784, len(CLASSES))), np.zeros(len(CLASSES))])
    tags = [ModelVersionTag("weights_digest", weights)]
    return LoadedModel(ModelVersion("fashion-mnist", str(version), 0, tags=tags), network, CLASSES)


def images(count: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """Gray images on black, uint8 `(n, 28, 28)`."""
    made = np.zeros((count, 28, 28), np.uint8)
    made[:, 4:24, 4:24] = np.random.default_rng(1).integers(0, 256, (count, 20, 20))
    return made


def png(image: Any) -> bytes:
    """An image as a PNG file, which loses nothing."""
    return saved(Image.fromarray(image))


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """A picture as a file of a kind."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def seen(content: bytes) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """What the network gets of a picture."""
    return to_input(read_picture(content), 28, 28)
