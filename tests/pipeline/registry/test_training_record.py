"""How two trainings differ, and the parameters that give one again."""

from dataclasses import asdict
from typing import Any

import pytest

from components.train.zoo import MODEL_NAMES
from pipeline import params as parameters
from pipeline.registry.training_record import differences, with_recorded
from tests.support.project import subset_settings


def test_differences_are_those_of_code_data_parameters_libraries_and_machines():
    machine = {"first_epoch": 1, "processor": "a", "threads": 2}
    training = {
        "data_version": "1.dir",
        "code_version": "c",
        "params": {"train": {"seed": 1, "precision": "float32"}},
        "libraries": {"keras": "3.0"},
        "machines": [machine],
        "weights_digest": "w",
    }
    assert differences(training, training | {"weights_digest": "v"}) == []
    assert differences(
        training,
        training
        | {
            "params": {"train": {"seed": 1, "precision": "bfloat16"}},
            "machines": [machine | {"processor": "b"}, {"first_epoch": 3, "processor": "c"}],
        },
    ) == [
        ("train.precision", "float32", "bfloat16"),
        ("machine from epoch 1.processor", "a", "b"),
        ("machine from epoch 3.first_epoch", "", "3"),
        ("machine from epoch 3.processor", "", "c"),
    ]


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": "adam", "learning_rate": 0.001}, {"schedule": "constant", "learning_rate": 0.01}],
)
@pytest.mark.parametrize("model", MODEL_NAMES)
def test_recorded_parameters_give_the_same_settings(model: str, changes: dict[str, Any]):
    content = subset_settings()
    content["model"]["name"] = model
    content["train"] |= changes
    params = parameters.parse(content, "subset")
    settings = params.settings
    recorded = {
        "data": params.data.model_dump(),
        "model": params.model.model_dump(),
        "train": params.train.model_dump() | asdict(settings),
    }

    again = parameters.parse(with_recorded(subset_settings(), recorded), "again")

    assert again.settings == settings
    assert (again.data, again.train.seed) == (params.data, params.train.seed)
