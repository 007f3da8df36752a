"""The networks: layer tables, sizes, settings, and the drawing."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from components.common.errors import PipelineError
from components.train.settings import Shape
from components.train.zoo import MODELS
from pipeline.params import Params
from tests.support.project import Project

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
    from components.train.network import layer_table
    from pipeline.models import build_plain

    network = build_plain(name, subset_params.data)

    assert [(row.kind, row.shape, row.parameters) for row in layer_table(network)] == LAYERS[name]


def test_the_networks_have_these_sizes(subset_params: Params):
    from pipeline.models import build_plain

    sizes = {name: build_plain(name, subset_params.data).count_params() for name in MODELS}

    assert sizes == {
        "resnet-s": 661_056,
        "resnet-xs": 335_552,
        "resnet-m": 1_086_400,
        "resnet-gpu": 1_927_552,
        "cnn-32": 173_738,
        "cnn-32-100": 542_230,
        "cnn-64-64-512": 862_410,
        "cnn-3x64-128": 149_642,
        "mlp-128-64": 109_386,
    }


def test_the_resnet_has_a_frozen_front_and_three_residual_stages(subset_params: Params):
    from components.train.network import layer_table
    from pipeline.models import build_plain

    network = build_plain("resnet-s", subset_params.data)
    convolutions = [(row.shape, row.parameters) for row in layer_table(network) if row.kind == "Conv2D"]
    frozen = [layer.name for layer in network.layers if not layer.trainable]

    assert convolutions == [
        ((14, 14, 32), 4 * 4 * 32),
        ((14, 14, 48), 32 * 48),
        *[((14, 14, 48), 9 * 48 * 48)] * 2,
        ((14, 14, 96), 9 * 48 * 96),
        *[((7, 7, 96), 9 * 96 * 96)] * 2,
        ((7, 7, 128), 9 * 96 * 128),
        *[((7, 7, 128), 9 * 128 * 128)] * 2,
    ]
    assert sum(row.kind == "Add" for row in layer_table(network)) == 3
    assert frozen == ["whitening"]


def test_arithmetic_is_counted_in_convolutions_and_dense_layers(subset_params: Params):
    from components.train.network import megaflops
    from pipeline.models import build_plain

    # 26 x 26 places x 3 x 3 x 32, and 5408 x 100 + 100 x 10, a multiplication and an addition each
    expected = 2 * (26 * 26 * 9 * 32 + 5408 * 100 + 100 * 10) / 1e6
    assert megaflops(build_plain("cnn-32-100", subset_params.data)) == pytest.approx(expected, abs=1e-3)


def test_the_authors_weights_start_as_they_say(subset_params: Params):
    from pipeline.models import build_plain

    network = build_plain("cnn-32-100", subset_params.data)
    kernels = [layer.kernel_initializer for layer in network.layers if hasattr(layer, "kernel_initializer")]

    assert [type(kernel).__name__ for kernel in kernels] == ["HeUniform", "HeUniform", "GlorotUniform"]


@pytest.mark.parametrize("name", MODELS)
def test_networks_take_other_image_sizes_and_class_counts(name: str):
    import keras

    model = MODELS[name].build(Shape(12, 17, 3, 0.5, 0.2, 0.0), keras.layers.BatchNormalization)

    assert model(np.zeros((2, 12, 17), np.uint8)).shape == (2, 3)


def test_a_model_is_trained_under_its_own_settings_unless_told_otherwise(project: Project):
    project.change("model", "name", "cnn-32-100")
    project.change("train", "epochs", None)
    project.change("train", "batch_size", None)
    params = project.fashion("params").stdout
    (rate,) = (line for line in params.splitlines() if line.startswith("train.learning_rate"))
    (epochs,) = (line for line in params.splitlines() if line.startswith("train.epochs"))
    assert "0.01 (model's)" in rate
    assert "10 (model's)" in epochs

    project.change("train", "epochs", 1)
    project.fashion("step", "train")

    training = project.json("outputs/train/training.json")
    assert training["parameters"] == 542_230
    assert training["params"]["train"] == {
        "seed": 1,
        "validation_images": 200,
        "epochs": 1,
        "batch_size": 32,
        "optimizer": "sgd",
        "learning_rate": 0.01,
        "schedule": "constant",
        "warmup": 0.0,
        "momentum": 0.9,
        "l2": 0.0,
        "label_smoothing": 0.0,
        "flip": False,
        "shift": 0,
        "cutout": 0,
        "flip_average": False,
        "precision": "float32",
        "xla": False,
    }


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed")
def test_show_prints_the_layers_and_draws_the_network(project: Project):
    text = project.fashion("model", "show", "cnn-64-64-512").stdout

    (total,) = (line for line in text.splitlines() if line.split()[:1] == ["862,410"])
    assert float(total.split()[1]) == pytest.approx(11.4, abs=0.3)
    assert (project.root / "outputs/models/cnn-64-64-512.svg").read_text().count('<g id="node') == 10
    project.fashion("model", "show", "mlp-128-64", "--plot", "mlp.png")
    assert (project.root / "mlp.png").read_bytes().startswith(b"\x89PNG")


def test_without_graphviz_the_layers_are_printed_and_the_package_is_named(project: Project):
    fashion = shutil.which("fashion", path=project.environment["PATH"])
    assert fashion
    result = project.run(fashion, "model", "show", "mlp-128-64", code=1, environment={"PATH": "/nonexistent"})

    assert "109,386" in result.stdout
    assert "apt install graphviz" in result.stderr


def test_an_unknown_model_is_refused_before_anything_heavy(project: Project):
    result = project.fashion("model", "show", "cnn-23", code=2)

    assert "cnn-32" in result.stderr


def test_drawings_are_png_or_svg(subset_params: Params, tmp_path: Path):
    from components.train.network import draw
    from pipeline.models import build_plain

    with pytest.raises(PipelineError, match="neither"):
        draw(build_plain("mlp-128-64", subset_params.data), tmp_path / "mlp.pdf")
