"""The compiled pipelines: the golden files, as KFP's protos and clients read them."""

from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import yaml

from pipeline.kubeflow.client.progress import steps_of
from pipeline.kubeflow.definition.compiler import PipelineName
from pipeline.kubeflow.runtime.step_parameters import SCALARS
from tests.golden.__main__ import CANDIDATES, write
from tests.support.compiled import BATCH_STEPS, GOLDEN, STEPS, container, documents


@pytest.mark.parametrize("name", get_args(PipelineName))
def test_the_compiled_pipeline_is_the_golden_file(name: PipelineName, tmp_path: Path):
    assert write(tmp_path, name).read_bytes() == (GOLDEN / f"{name}.yaml").read_bytes(), (
        "look at the difference, and if it is meant: python -m tests.golden"
    )


@pytest.mark.parametrize("name", get_args(PipelineName))
def test_the_protos_know_all_of_it(name: PipelineName):
    spec, platform = documents(GOLDEN / f"{name}.yaml")

    expected = {"train": STEPS, "sweep": STEPS | {"plan", "select"}, "batch": BATCH_STEPS}[name]
    assert platform.keys() == expected
    assert {e.removeprefix("exec-") for e in spec.deployment_spec["executors"]} == expected
    assert {container(spec, step)["image"] for step in expected} == {"fashion-pipeline:golden"}
    arguments = set(SCALARS) if name != "batch" else {"images", "predictions", "shards"}
    assert arguments < set(spec.root.input_definitions.parameters)
    for argument in spec.root.input_definitions.parameters.values():
        assert argument.description


def test_whoever_waits_for_a_sweep_sees_a_training_for_each_candidate():
    spec = next(yaml.safe_load_all((GOLDEN / "sweep.yaml").read_text()))
    run = SimpleNamespace(pipeline_spec=spec, runtime_config=None)

    trainings = [step.label for step in steps_of(run) if step.task == "train"]

    assert trainings == [f"train {candidate}" for candidate in CANDIDATES]
