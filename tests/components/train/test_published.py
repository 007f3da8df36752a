"""The published networks have the layers that their authors define."""

import pytest

from components.train.network import layer_table
from pipeline.models import build_plain
from pipeline.params import Params

INPUT = [("InputLayer", (28, 28), 0), ("Rescaling", (28, 28), 0)]


LAYERS = {
    "cnn-32": [
        *INPUT,
        ("Reshape", (28, 28, 1), 0),
        ("Conv2D", (26, 26, 32), 320),
        ("MaxPooling2D", (13, 13, 32), 0),
        ("Flatten", (5408,), 0),
        ("Dense", (32,), 173_088),
        ("Dense", (10,), 330),
    ],
    "cnn-32-100": [
        *INPUT,
        ("Reshape", (28, 28, 1), 0),
        ("Conv2D", (26, 26, 32), 320),
        ("MaxPooling2D", (13, 13, 32), 0),
        ("Flatten", (5408,), 0),
        ("Dense", (100,), 540_900),
        ("Dense", (10,), 1010),
    ],
    "cnn-64-64-512": [
        *INPUT,
        ("Reshape", (28, 28, 1), 0),
        ("Conv2D", (26, 26, 64), 640),
        ("MaxPooling2D", (13, 13, 64), 0),
        ("Conv2D", (11, 11, 64), 36_928),
        ("MaxPooling2D", (5, 5, 64), 0),
        ("Flatten", (1600,), 0),
        ("Dense", (512,), 819_712),
        ("Dense", (10,), 5130),
    ],
    "cnn-3x64-128": [
        *INPUT,
        ("Reshape", (28, 28, 1), 0),
        ("Conv2D", (28, 28, 64), 640),
        ("MaxPooling2D", (14, 14, 64), 0),
        ("Conv2D", (14, 14, 64), 36_928),
        ("MaxPooling2D", (7, 7, 64), 0),
        ("Conv2D", (7, 7, 64), 36_928),
        ("MaxPooling2D", (3, 3, 64), 0),
        ("Flatten", (576,), 0),
        ("Dense", (128,), 73_856),
        ("Dense", (10,), 1290),
    ],
    "mlp-128-64": [
        *INPUT,
        ("Flatten", (784,), 0),
        ("Dense", (128,), 100_480),
        ("Dense", (64,), 8256),
        ("Dense", (10,), 650),
    ],
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_published_network_has_its_authors_layers(name: str, subset_params: Params):
    network = build_plain(name, subset_params.data)

    assert [(row.kind, row.shape, row.parameters) for row in layer_table(network)] == LAYERS[name]


def test_the_authors_weights_start_as_they_say(subset_params: Params):
    network = build_plain("cnn-32-100", subset_params.data)
    kernels = [layer.kernel_initializer for layer in network.layers if hasattr(layer, "kernel_initializer")]

    assert [type(kernel).__name__ for kernel in kernels] == ["HeUniform", "HeUniform", "GlorotUniform"]
