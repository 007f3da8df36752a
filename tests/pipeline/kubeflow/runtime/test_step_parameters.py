"""The parameters of each step: divided, checked again in the pod, and set by the candidates of a sweep."""

import json

import pytest
import yaml

from components.common.errors import ParameterError
from components.train.zoo import MODELS
from pipeline.kubeflow.definition.arguments import pipeline_arguments
from pipeline.kubeflow.runtime.step_parameters import candidate_parameters, params_from_json, step_parameters
from pipeline.params import Params, load
from pipeline.steps import SECTIONS
from tests.golden.__main__ import CANDIDATES
from tests.support.project import ROOT


@pytest.fixture(scope="module")
def params() -> Params:
    return load(ROOT / "params.yaml")


def test_a_step_gets_its_own_sections_and_no_other(params: Params):
    arguments = pipeline_arguments(ROOT, params)
    divided = step_parameters(arguments)
    stricter = step_parameters(arguments | {"accuracy_min": 0.99})

    assert {step for step in SECTIONS if getattr(divided, step) != getattr(stricter, step)} == {
        "gate",
        "register",
    }
    training, _ = params_from_json(divided.train)
    assert training.train == params.train
    with pytest.raises(AttributeError):
        _ = training.gate
    for step, names in SECTIONS.items():
        assert set(json.loads(getattr(divided, step))) == set(names), step


def test_the_sections_of_a_step_are_those_of_its_dvc_stage():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for step, names in SECTIONS.items():
        declared = {name.partition(".")[0] for name in stages[step]["params"]}
        assert set(names) - {"tracking"} == declared, step


def test_a_candidate_changes_its_training_alone(params: Params):
    arguments = pipeline_arguments(ROOT, params, (), CANDIDATES)
    assert arguments["candidates"] == CANDIDATES
    text = step_parameters(arguments).train

    first, second = (params_from_json(training) for training in candidate_parameters(text, CANDIDATES))
    assert (first[0].model.name, first[0].train.epochs) == ("resnet-xs", None)
    assert (second[0].model.name, second[0].train.epochs) == ("cnn-32-100", 3)
    assert [first[1], second[1]] == CANDIDATES
    assert params_from_json(text)[0].model.name == "resnet-s"


@pytest.mark.parametrize(
    "candidates",
    [
        ["gate.accuracy_min=0.1"],
        ["experiment=elsewhere"],
        ["model=resnet-xs train.seed=2"],
        ["train.validation_images=60"],
        [""],
        ["model=resnet-xs train.epochs=1", "train.epochs=1 model=resnet-xs"],
        ["model=resnet-xs", f"model.name=resnet-xs train.epochs={MODELS['resnet-xs'].settings.epochs}"],
        ["model=resnet-xs model.name=resnet-s"],
    ],
)
def test_a_candidate_that_cannot_be_compared_is_refused(params: Params, candidates: list[str]):
    with pytest.raises(ParameterError):
        pipeline_arguments(ROOT, params, (), candidates)
    arguments = pipeline_arguments(ROOT, params)
    with pytest.raises(ParameterError):
        step_parameters(arguments | {"candidates": candidates})


def test_a_wrong_parameter_is_refused_again_in_the_pod(params: Params):
    arguments = pipeline_arguments(ROOT, params)

    with pytest.raises(ParameterError, match=r"train\.seed"):
        step_parameters(arguments | {"seed": -1})
    with pytest.raises(ParameterError, match="not JSON"):
        step_parameters(arguments | {"params": "{"})
    with pytest.raises(ParameterError, match=r"train\.epochz"):
        step_parameters(arguments | {"candidates": ["train.epochz=3"]})
    rest = json.loads(arguments["params"])
    del rest["data"]
    with pytest.raises(ParameterError, match="data is missing"):
        step_parameters(arguments | {"params": json.dumps(rest)})
