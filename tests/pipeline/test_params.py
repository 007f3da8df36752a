"""`params.yaml`: what is refused, and what the refusal says."""

import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from components.common.errors import ParameterError
from pipeline import params
from tests.support.project import ROOT, Project, subset_settings


def test_the_projects_own_parameters_are_accepted():
    loaded = params.load(ROOT / "params.yaml")

    assert loaded.gate.accuracy_min == 0.92
    assert len(loaded.data.classes) == 10


@pytest.mark.parametrize(
    ("section", "name", "value", "says"),
    [
        ("train", "epoch", 3, ["train.epoch is not a parameter", "train.epochs"]),
        ("train", "epochs", "seven", ["train.epochs", "'seven'", "whole number >= 1", "for example 7"]),
        ("train", "epochs", 2.0, ["train.epochs", "whole number"]),
        ("train", "epochs", 0, ["train.epochs: 0", ">= 1"]),
        ("train", "seed", True, ["train.seed", "whole number"]),
        ("train", "learning_rate", float("nan"), ["train.learning_rate", "finite"]),
        ("train", "learning_rate", -0.1, ["train.learning_rate", "> 0"]),
        ("train", "precision", "half", ["train.precision", "auto | float32 | bfloat16"]),
        ("train", "validation_images", 2000, ["train.validation_images", "leave the images"]),
        ("model", "name", "resnett-s", ["model.name", "did you mean resnet-s?"]),
        ("model", "name", "house", ["model.name", "this model is called resnet-s now"]),
        ("model", "name", "quick", ["model.name", "this model is called resnet-xs now"]),
        (
            "model",
            "name",
            "small-resnet",
            ["model.name", "no such model", "one of resnet-s, resnet-xs, resnet-m"],
        ),
        ("train", "l2", 0.1, ["train.l2 does nothing on cnn-32"]),
        ("train", "momentum", 0.9, ["train.momentum does nothing with the optimizer adam"]),
        ("train", "warmup", 0.1, ["train.warmup does nothing with a constant schedule"]),
        ("train", "optimizer", "nesterov", ["nesterov needs train.momentum"]),
        ("train", "optimizer", "muon", ["muon and train.proxy are for the resnet models"]),
        ("train", "proxy", True, ["train.proxy", "write whole number >= 0 <= 16 or null", "for example 2"]),
        ("train", "proxy", 2, ["muon and train.proxy are for the resnet models"]),
        ("gate", "accuracy_min", None, ["gate.accuracy_min"]),
        ("gate", "worst_recall_min", 1.2, ["gate.worst_recall_min", "<= 1", "null"]),
        ("data", "classes", ["a", "a"], ["data.classes", "distinct"]),
        ("register", "model_name", "a/b", ["register.model_name"]),
        ("card", "limits", "  \n", ["card.limits", "at least 1 character", "what it is not for"]),
        ("card", "data_licence", None, ["card.data_licence", "write text", "for example MIT"]),
        ("card", "purpose", "any", ["card.purpose is not a parameter"]),
    ],
)
def test_a_wrong_value_is_refused_by_name(section: str, name: str, value: Any, says: list[str]):
    settings = subset_settings()
    settings[section][name] = value

    with pytest.raises(ParameterError) as refused:
        params.parse(settings, "params.yaml")

    for words in says:
        assert words in str(refused.value)


def test_a_model_whose_own_batch_is_larger_than_the_data_is_refused():
    settings = subset_settings()
    settings["train"] |= {"batch_size": None, "validation_images": 1500}

    with pytest.raises(ParameterError, match=r"leave the images of a step \(512\)"):
        params.parse(settings, "params.yaml")


def test_a_setting_of_another_optimizer_may_come_with_that_optimizer():
    settings = subset_settings()
    settings["train"] |= {"optimizer": "sgd", "momentum": 0.9, "schedule": "triangular", "warmup": 0.1}

    assert params.parse(settings, "params.yaml").train.momentum == 0.9


@pytest.mark.parametrize(("model", "optimizer"), [("resnet-s", "nesterov"), ("resnet-gpu", "muon")])
def test_muon_and_the_other_optimizers_do_not_share_a_learning_rate(model: str, optimizer: str):
    settings = subset_settings()
    settings["model"]["name"] = model
    settings["train"]["optimizer"] = optimizer

    with pytest.raises(ParameterError, match=r"with (muon|nesterov) set train.learning_rate"):
        params.parse(settings, "params.yaml")

    settings["train"]["learning_rate"] = 0.1
    assert params.parse(settings, "params.yaml").train.optimizer == optimizer


def test_a_proxy_that_would_pick_all_images_is_refused():
    settings = subset_settings()
    settings["model"]["name"] = "resnet-s"
    settings["train"] |= {"learning_rate": None, "proxy": 1}

    with pytest.raises(ParameterError, match="write 0 for none, or 2"):
        params.parse(settings, "params.yaml")


def test_nested_values_are_checked_too():
    settings = subset_settings()
    settings["validate"]["class_share"] = {"min": 0.5, "max": 0.1, "severity": "critical"}
    settings["validate"]["labels"]["severity"] = "fatal"

    with pytest.raises(ParameterError, match=r"min 0.5 is above max 0.1") as refused:
        params.parse(settings, "params.yaml")
    assert "validate.labels.severity" in str(refused.value)


def test_every_parameter_must_be_there():
    settings = subset_settings()
    del settings["gate"]["accuracy_min"]

    with pytest.raises(ParameterError, match=r"gate.accuracy_min is missing; write number >= 0"):
        params.parse(settings, "params.yaml")


def test_a_long_value_is_not_repeated_whole():
    settings = subset_settings()
    settings["register"]["model_name"] = "two words" * 1000

    with pytest.raises(ParameterError, match=r"model_name: 'two words.{190,200}… is refused"):
        params.parse(settings, "params.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [", "not valid YAML"), ("train: {}\ntrain: {}\n", "duplicate key"), ("", "params.yaml")],
)
def test_a_file_that_is_no_parameters(tmp_path: Path, text: str, says: str):
    (tmp_path / "params.yaml").write_text(text)

    with pytest.raises(ParameterError, match=says):
        params.load(tmp_path / "params.yaml")


def test_every_parameter_is_documented():
    described = {name: meaning for name, _, meaning in params.describe()}

    assert all(described.values()), [name for name, meaning in described.items() if not meaning]
    settings = YAML(typ="safe").load(ROOT / "params.yaml")
    assert {f"{s}.{n}" for s, names in settings.items() for n in names} <= described.keys()


def test_a_wrong_parameter_stops_a_step_before_anything_heavy_is_imported(project: Project):
    project.change("train", "epochs", "seven")
    script = (
        "import sys; sys.argv = ['fashion', 'step', 'train']\n"
        "from pipeline.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "assert not {'tensorflow', 'mlflow', 'pandas', 'great_expectations', 'dvc'} & sys.modules.keys()\n"
        "sys.exit(code)"
    )

    result = project.run(sys.executable, "-c", script, code=3)

    assert "train.epochs: 'seven' is refused" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_imports_nothing_heavy(project: Project):
    script = (
        "import sys\n"
        "from pipeline.cli.main import cli\n"
        "cli(['--help'], standalone_mode=False)\n"
        "sys.exit(bool({'tensorflow', 'mlflow', 'pandas', 'great_expectations', 'dvc'} & sys.modules.keys()))"
    )

    project.run(sys.executable, "-c", script)
