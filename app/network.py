"""What the app asks of the champion's network: probabilities, features, and where it looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from components.common.errors import PipelineError

if TYPE_CHECKING:
    import keras

    from components.common.idx import Bytes, Probabilities
    from components.registry.model import LoadedModel

PATCH, STRIDE = 6, 2
"""Edge of the patch that hides a part of the image, and the distance between its places, in pixels."""


class Network:
    """The network of a version, ready for use.

    Args:
        loaded: The version.

    Raises:
        PipelineError: It has no dense layer.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        import keras
        import tensorflow as tf

        self.loaded, self.classes = loaded, loaded.classes
        self.probabilities: Callable[[Bytes], Probabilities] = loaded.predict
        features = keras.Model(loaded.network.inputs, _last_hidden(loaded.network))
        self._features = tf.function(
            lambda images: features(images, training=False),
            input_signature=[tf.TensorSpec((None, *loaded.image_size), tf.uint8)],
        )

    def features(self, images: Bytes) -> Probabilities:
        """What the last layer decides by: its inputs, scaled to length 1, float32 `(n, features)`."""
        import tensorflow as tf

        values: Probabilities = self._features(tf.constant(images)).numpy().reshape(len(images), -1)
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        scaled: Probabilities = values / np.maximum(lengths, 1e-12)
        return scaled

    def occlusion(self, image: Bytes, label: int) -> Probabilities:
        """Where the network looks: how much a class's probability falls if a patch of the image is black.

        (M. D. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014.)

        Args:
            image: uint8 `(height, width)`.
            label: The class.

        Returns:
            float32 `(height, width)`: the mean fall over the patches that cover a pixel, 0 where it rises.
        """
        height, width = image.shape
        places = [
            (slice(max(0, top), top + PATCH), slice(max(0, left), left + PATCH))
            for top in range(1 - PATCH // 2, height, STRIDE)
            for left in range(1 - PATCH // 2, width, STRIDE)
        ]
        hidden = np.repeat(image[np.newaxis], len(places) + 1, axis=0)
        for row, place in enumerate(places):
            hidden[row][place] = 0
        of_class = self.probabilities(hidden)[:, label]
        falls, covered = np.zeros((2, height, width), np.float32)
        for fall, place in zip(of_class[-1] - of_class[:-1], places, strict=True):
            falls[place] += fall
            covered[place] += 1
        mean: Probabilities = np.maximum(falls / covered, 0)
        return mean


def _last_hidden(network: keras.Model) -> keras.KerasTensor:
    """What the last dense layer of a network gets."""
    import keras

    dense = [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    if not dense:
        raise PipelineError(
            f"the network {network.name} has no dense layer, by which the app compares images",
            "make a model of the zoo champion: `fashion promote VERSION --reason …`",
        )
    return dense[-1].input
