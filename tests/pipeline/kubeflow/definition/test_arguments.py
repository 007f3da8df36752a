"""The parameters as KFP's form holds them: there and back, divided among the steps, checked twice."""

import json
from pathlib import Path

import pytest
import yaml

from components.common.errors import DataError, ParameterError
from pipeline.kubeflow.definition.arguments import default_remote, pipeline_arguments
from pipeline.kubeflow.runtime.step_parameters import (
    SCALARS,
    candidate_parameters,
    override,
    params_from_arguments,
    params_from_json,
    step_parameters,
)
from pipeline.params import Params, load
from pipeline.steps import SECTIONS
from tests.golden.__main__ import CANDIDATES
from tests.support.project import ROOT


@pytest.fixture(scope="module")
def params() -> Params:
    return load(ROOT / "params.yaml")


def test_the_form_holds_the_parameters_and_gives_them_back(params: Params):
    changed = override(params, ["epochs=3", "train.learning_rate=0.1", "gate.accuracy_lower_min=0.9"])
    form = pipeline_arguments(ROOT, changed)

    assert (form["epochs"], form["accuracy_lower_min"], form["model"]) == (3, 0.9, "resnet-s")
    assert params_from_arguments({field: form[field] for field in SCALARS}, form["params"]) == changed
    own = pipeline_arguments(ROOT, params)
    assert (own["epochs"], own["accuracy_lower_min"]) == (0, -1.0)
    assert params_from_arguments({field: own[field] for field in SCALARS}, own["params"]) == params


def test_a_step_gets_its_own_sections_and_no_other(params: Params):
    form = pipeline_arguments(ROOT, params)
    fields = {field: form[field] for field in SCALARS}
    divided = step_parameters(fields, form["params"])
    stricter = step_parameters(fields | {"accuracy_min": 0.99}, form["params"])

    assert {step for step in SECTIONS if getattr(divided, step) != getattr(stricter, step)} == {"gate"}
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
    form = pipeline_arguments(ROOT, params, (), CANDIDATES)
    assert form["candidates"] == CANDIDATES
    text = step_parameters({field: form[field] for field in SCALARS}, form["params"], CANDIDATES).train

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
        ["model=resnet-xs", "model.name=resnet-xs train.epochs=2"],  # 2 epochs are its own
        ["model=resnet-xs model.name=resnet-s"],
    ],
)
def test_a_candidate_that_cannot_be_compared_is_refused(params: Params, candidates: list[str]):
    with pytest.raises(ParameterError):
        pipeline_arguments(ROOT, params, (), candidates)
    form = pipeline_arguments(ROOT, params)
    with pytest.raises(ParameterError):
        step_parameters({field: form[field] for field in SCALARS}, form["params"], candidates)


def test_what_the_form_shows_for_nothing_can_be_given_and_no_other_number(params: Params):
    fields = pipeline_arguments(ROOT, params, ["worst_recall_min=-1", "epochs=0"])
    assert (fields["worst_recall_min"], fields["epochs"]) == (-1.0, 0)
    checked = params_from_arguments({field: fields[field] for field in SCALARS}, fields["params"])
    assert checked.gate.worst_recall_min is None
    with pytest.raises(ParameterError, match="worst_recall_min"):
        params_from_arguments(
            {field: fields[field] for field in SCALARS} | {"worst_recall_min": -92.0}, fields["params"]
        )


@pytest.mark.parametrize("assignment", ["experiment={", "data_version=abc", "data_version=../../x"])
def test_what_is_no_value_is_refused(params: Params, assignment: str):
    with pytest.raises(ParameterError):
        pipeline_arguments(ROOT, params, [assignment])


@pytest.mark.parametrize(
    "config", ["[core]\n    remote = nosuch\n", "not a configuration\n"], ids=["no such remote", "broken"]
)
def test_a_broken_configuration_of_dvc_is_one_line(tmp_path: Path, config: str):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(config)

    with pytest.raises(DataError):
        default_remote(tmp_path)


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("gate.accuracy_min=2", "gate.accuracy_min"),
        ("train.epochz=3", "train.epochs"),
        ("epochs=many", "train.epochs"),
        ("model=hous", "resnet-s"),
        ("nothing", "nothing"),
        ("no.such.name=1", "no.such.name"),
    ],
)
def test_a_wrong_parameter_is_refused_at_submission(params: Params, assignment: str, named: str):
    with pytest.raises(ParameterError, match=named):
        pipeline_arguments(ROOT, params, [assignment])
    with pytest.raises(ParameterError, match=named):
        pipeline_arguments(ROOT, params, (), [assignment])


def test_a_wrong_parameter_is_refused_again_in_the_pod(params: Params):
    form = pipeline_arguments(ROOT, params)
    fields = {field: form[field] for field in SCALARS}

    with pytest.raises(ParameterError, match=r"train\.seed"):
        step_parameters(fields | {"seed": -1}, form["params"])
    with pytest.raises(ParameterError, match="not JSON"):
        step_parameters(fields, "{")
    with pytest.raises(ParameterError, match=r"train\.epochz"):
        step_parameters(fields, form["params"], ["train.epochz=3"])
    rest = json.loads(form["params"])
    del rest["data"]
    with pytest.raises(ParameterError, match="data is missing"):
        step_parameters(fields, json.dumps(rest))
