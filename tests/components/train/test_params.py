"""The settings of a training: those of the model zoo, overridden by `params.yaml`."""

from components.train.params import ModelParams, settings_of
from pipeline.params import Params
from tests.support.project import Project


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
        "erase": 0.0,
        "proxy": 0,
        "flip_average": False,
        "precision": "float32",
        "xla": False,
    }


def test_a_value_of_params_yaml_overrides_the_model_zoo(subset_params: Params):
    train = subset_params.train.model_copy(update={"epochs": 3, "learning_rate": None})

    settings = settings_of(ModelParams(name="cnn-32"), train)

    assert (settings.epochs, settings.learning_rate, settings.optimizer) == (3, 0.001, "adam")
