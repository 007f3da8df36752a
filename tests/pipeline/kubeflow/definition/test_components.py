"""The KFP components: their inputs, and the one that reads its own arguments."""

import json

from pipeline.kubeflow.definition import components
from pipeline.kubeflow.definition.arguments import pipeline_arguments
from pipeline.kubeflow.runtime.step_parameters import code_version, step_parameters
from pipeline.params import load
from tests.support.compiled import GOLDEN, STEPS, documents
from tests.support.project import ROOT


def test_every_step_takes_the_versions_of_code_and_data_as_inputs():
    spec, _ = documents(GOLDEN / "train.yaml")

    for step in STEPS - {"finish"}:
        assert "code_version" in spec.components[f"comp-{step}"].input_definitions.parameters, step
    assert "data_version" in spec.components["comp-ingest"].input_definitions.parameters


def test_the_parameters_step_and_the_plan_step_pass_on_all_arguments(state: str):
    candidates = ["train.epochs=1", "train.epochs=2"]
    arguments = pipeline_arguments(ROOT, load(ROOT / "params.yaml"), ["epochs=3"], candidates)
    taken = {name: value for name, value in arguments.items() if name not in ("data_version", "remote")}

    made = components.parameters.python_func(**taken)
    trainings = components.plan.python_func(code_version(), made.train, candidates)

    assert made == step_parameters(arguments)
    assert json.loads(made.train)["train"]["epochs"] == 3
    assert [json.loads(training)["train"]["epochs"] for training in trainings] == [1, 2]
