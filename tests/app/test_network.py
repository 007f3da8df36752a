"""The network as the app uses it, on a network whose answers are known."""

import keras
import numpy as np
import pytest

from app.network import Network
from components.common.errors import PipelineError
from components.registry.model import LoadedModel


def loaded(*layers: keras.layers.Layer) -> LoadedModel:
    images = keras.Input((28, 28), dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(images)
    for layer in layers:
        x = layer(x)
    return LoadedModel(None, keras.Model(images, x), ("dark", "bright"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def network() -> Network:
    """Says how bright the image's pixel in row 10, column 20 is; its features are the pixels."""
    dense = keras.layers.Dense(2)
    model = loaded(keras.layers.Flatten(), dense, keras.layers.Softmax())
    weights = np.zeros((28 * 28, 2), np.float32)
    weights[10 * 28 + 20, 1] = 5
    dense.set_weights([weights, np.zeros(2, np.float32)])
    return Network(model)


def test_it_looks_at_the_pixel_that_decides_and_nowhere_else(network: Network):
    looks = network.occlusion(np.full((28, 28), 255, np.uint8), label=1)

    assert looks.shape == (28, 28)
    assert looks.argmax() == 10 * 28 + 20
    rows, columns = np.nonzero(looks)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (6, 15, 16, 25)


def test_a_class_that_becomes_more_probable_is_not_looked_at(network: Network):
    assert not network.occlusion(np.full((28, 28), 255, np.uint8), label=0).any()


def test_features_are_what_the_last_dense_layer_gets_of_length_one(network: Network):
    image = np.zeros((2, 28, 28), np.uint8)
    image[0, 0, :2] = (30, 40)

    features = network.features(image)

    assert features[0, :2] == pytest.approx([0.6, 0.8])
    assert features[0, 2:].tolist() == [0] * 782
    assert features[1].tolist() == [0] * 784  # a black image


def test_a_network_without_a_dense_layer_is_named():
    with pytest.raises(PipelineError, match="has no dense layer") as error:
        Network(loaded(keras.layers.Flatten()))
    assert "fashion promote" in error.value.hint
