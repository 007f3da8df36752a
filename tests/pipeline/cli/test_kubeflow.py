"""`fashion submit`, with the project's own pipelines, against KFP's REST API."""

import json
import subprocess
import sys

import click
import pytest

from components.common.errors import ClusterError, ParameterError
from pipeline.cli.kubeflow import compile_, run_local, submit
from tests.support.kfp_fixtures import IMAGE, fashion
from tests.support.kfp_server import KfpServer
from tests.support.ports import free_port
from tests.support.project import ROOT

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("ready_to_submit")


def test_submit(server: KfpServer) -> None:
    printed = fashion(
        submit,
        *("--gpu", "0", "--param", "train.epochs=3", "--param", "accuracy_min=0.95", "--no-cache"),
    )
    run = server.runs[0]
    assert printed == f"{run['display_name']}\n{server.url}/#/runs/details/{run['run_id']}\n"
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["epochs"], parameters["accuracy_min"], parameters["model"]) == (3, 0.95, "resnet-s")
    spec = run["pipeline_spec"]["pipeline_spec"]
    executors = spec["deploymentSpec"]["executors"]
    assert {executor["container"]["image"] for executor in executors.values()} == {IMAGE}
    assert "accelerator" not in json.dumps(executors)
    assert '"enableCache"' not in json.dumps(spec)
    assert server.experiments[0]["display_name"] == "fashion-mnist"


def test_sweep(server: KfpServer) -> None:
    candidates = ["model.name=resnet-xs", "model.name=cnn-32 train.epochs=2"]
    fashion(submit, "--sweep", candidates[0], "--sweep", candidates[1], "--name", "both")
    run = server.runs[0]
    assert run["runtime_config"]["parameters"]["candidates"] == candidates
    spec = run["pipeline_spec"]["pipeline_spec"]
    assert spec["pipelineInfo"]["name"] == "fashion-mnist-sweep"
    assert run["display_name"] == "both"


def test_deploy(server: KfpServer) -> None:
    fashion(submit, "--deploy", "--gpu", "0")
    spec = server.runs[0]["pipeline_spec"]["pipeline_spec"]
    assert "comp-deploy" in spec["components"]
    with pytest.raises(click.UsageError, match="is for a cluster"):
        fashion(run_local, "--deploy")


BATCH = ("--batch", "s3://shop/images/", "--to", "s3://shop/predictions/")


def test_batch(server: KfpServer) -> None:
    fashion(submit, *BATCH, "--shards", "3", "--parallelism", "2", "--param", "predict.not_sure_below=0.7")
    run = server.runs[0]
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["images"], parameters["predictions"]) == (BATCH[1], BATCH[3])
    assert parameters["shards"] == ["1/3", "2/3", "3/3"]
    assert json.loads(parameters["params"])["predict"]["not_sure_below"] == 0.7
    spec = run["pipeline_spec"]["pipeline_spec"]
    assert spec["pipelineInfo"]["name"] == "fashion-mnist-batch"
    assert "accelerator" not in json.dumps(spec["deploymentSpec"])
    assert run["display_name"].startswith("batch ")


@pytest.mark.parametrize(
    "arguments",
    [
        BATCH[:2],
        BATCH[2:],
        ("--shards", "2"),
        ("--parallelism", "2"),
        (*BATCH, "--sweep", "train.epochs=1"),
        (*BATCH, "--gpu", "1"),
        (*BATCH, "--deploy"),
        (*BATCH, "--shards", "0"),
    ],
)
def test_options_that_do_not_go_together(arguments: tuple[str, ...], server: KfpServer) -> None:
    with pytest.raises(click.UsageError):
        fashion(submit, *arguments)
    assert server.experiments == []


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ((*BATCH, "--sweep"), "--sweep"),
        ((*BATCH, "--deploy", "--accelerator", "amd.com/gpu"), "--accelerator and --deploy"),
        (("--parallelism", "2"), "--parallelism"),
    ],
)
def test_compile_refuses_what_it_would_ignore(
    options: tuple[str, ...], flags: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.kubeflow.definition.compiler.compile_pipeline", pytest.fail)
    with pytest.raises(click.UsageError, match=f"^{flags} cannot be given with"):
        fashion(compile_, *options)


def test_a_batch_that_cannot_be_is_refused_before_anything_is_asked_for(server: KfpServer) -> None:
    for arguments in (("--batch", "images/", *BATCH[2:]), (*BATCH, "--param", "epochs=3")):
        with pytest.raises(ParameterError):
            fashion(submit, *arguments)
    assert server.runs == []


@pytest.mark.parametrize("assignment", ["train.epoch=3", "train.epochs=many", "epochs", "remote", "nn=1"])
def test_bad_parameter_is_refused_before_anything_is_asked_for(assignment: str, server: KfpServer) -> None:
    with pytest.raises(ParameterError):
        fashion(submit, "--param", assignment)
    assert server.experiments == []


def test_host_that_is_down() -> None:
    with pytest.raises(ClusterError):
        fashion(submit, "--host", f"http://127.0.0.1:{free_port()}")


def test_help_is_quick() -> None:
    code = "import sys; import pipeline.cli.main; print([m for m in sys.modules if m in sys.argv])"
    heavy = ("kfp", "kfp_server_api", "kubernetes", "mlflow", "boto3", "requests", "tensorflow")
    printed = subprocess.check_output([sys.executable, "-c", code, *heavy], cwd=ROOT, text=True)
    assert printed == "[]\n"
