"""The pipeline's arguments: from the project's parameters and assignments, and back to parameters."""

from pathlib import Path

import pytest

from components.common.errors import DataError, ParameterError
from pipeline.kubeflow.definition.arguments import (
    Batch,
    batch_arguments,
    check_remote,
    default_remote,
    pipeline_arguments,
)
from pipeline.kubeflow.runtime.step_parameters import override, params_from_arguments, params_from_json
from pipeline.params import Params, load
from tests.support.project import ROOT


@pytest.fixture(scope="module")
def params() -> Params:
    return load(ROOT / "params.yaml")


def test_the_arguments_hold_the_parameters_and_give_them_back(params: Params):
    changed = override(params, ["epochs=3", "train.learning_rate=0.1", "gate.accuracy_lower_min=0.9"])
    arguments = pipeline_arguments(ROOT, changed)

    assert (arguments["epochs"], arguments["accuracy_lower_min"], arguments["model"]) == (3, 0.9, "resnet-s")
    assert params_from_arguments(arguments) == changed
    unchanged = pipeline_arguments(ROOT, params)
    assert (unchanged["epochs"], unchanged["accuracy_lower_min"]) == (0, -1.0)
    assert params_from_arguments(unchanged) == params


def test_the_value_that_stands_for_null_can_be_given_and_no_other_number(params: Params):
    arguments = pipeline_arguments(ROOT, params, ["worst_recall_min=-1", "epochs=0"])
    assert (arguments["worst_recall_min"], arguments["epochs"]) == (-1.0, 0)
    checked = params_from_arguments(arguments)
    assert checked.gate.worst_recall_min is None
    with pytest.raises(ParameterError, match="worst_recall_min"):
        params_from_arguments(arguments | {"worst_recall_min": -92.0})


@pytest.mark.parametrize("assignment", ["experiment={", "data_version=abc", "data_version=../../x"])
def test_a_malformed_value_is_refused(params: Params, assignment: str):
    with pytest.raises(ParameterError):
        pipeline_arguments(ROOT, params, [assignment])


def test_data_version_and_remote_can_be_assigned(params: Params):
    version = f"{'0' * 32}.dir"

    arguments = pipeline_arguments(ROOT, params, [f"data_version={version}", "remote=s3://bucket"])

    assert (arguments["data_version"], arguments["remote"]) == (version, "s3://bucket")


@pytest.mark.parametrize(
    "config", ["[core]\n    remote = nosuch\n", "not a configuration\n"], ids=["no such remote", "broken"]
)
def test_a_broken_configuration_of_dvc_is_refused(tmp_path: Path, config: str):
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


@pytest.mark.parametrize("remote", ["", "/a/folder", "gs://bucket/dvc", "s3://"])
def test_a_remote_that_pods_cannot_read_is_refused(remote: str):
    with pytest.raises(ParameterError):
        check_remote(remote)
    check_remote("s3://bucket/prefix")


@pytest.mark.parametrize(
    ("images", "predictions", "shards"),
    [
        ("images/", "s3://bucket/p", 2),
        ("s3://bucket/a", "gs://bucket/p", 2),
        ("s3://bucket/a", "s3://bucket/a/", 2),
        ("s3://bucket/a", "s3://bucket/a/p", 2),
        ("s3://bucket/p/a", "s3://bucket/p", 2),
        ("s3://bucket", "s3://bucket/p", 2),
        ("s3://bucket//a", "s3://bucket/a/p", 2),
        ("s3://bucket/a//", "s3://bucket//a", 2),
        ("s3://bucket/a", "s3://bucket/p", 0),
        ("s3://bucket/a", "s3://bucket/p", 1001),
    ],
)
def test_a_batch_that_cannot_be_is_refused(images: str, predictions: str, shards: int):
    with pytest.raises(ParameterError):
        Batch(images, predictions, shards)


def test_the_arguments_of_a_batch(params: Params):
    batch = Batch("s3://bucket/a", "s3://bucket/a-predicted/", 2)

    arguments = batch_arguments(params, batch, ["predict.not_sure_below=0.7"])

    assert (arguments["images"], arguments["shards"]) == ("s3://bucket/a", ["1/2", "2/2"])
    checked, _ = params_from_json(arguments["params"])
    assert (checked.predict.not_sure_below, checked.data) == (0.7, params.data)
    for assignment in ("epochs=3", "gate.accuracy_min=0.9", "predict.top=0"):
        with pytest.raises(ParameterError):
            batch_arguments(params, batch, [assignment])
