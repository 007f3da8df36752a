"""`fashion submit`, `schedule` and `runs`, with the project's own pipelines, against KFP's REST API."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from components.common.errors import ClusterError, ExitCode, ParameterError, PipelineError
from pipeline.cli.kubeflow import submit
from pipeline.cli.runs import runs
from pipeline.cli.schedule import schedule
from pipeline.kubeflow.client.api import Kfp
from tests.support.kfp_fixtures import IMAGE, fashion
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer, main_container
from tests.support.ports import free_port
from tests.support.project import ROOT, environment_of

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


@pytest.mark.parametrize("assignment", ["train.epoch=3", "train.epochs=many", "epochs", "remote", "nn=1"])
def test_bad_parameter_is_refused_before_anything_is_asked_for(assignment: str, server: KfpServer) -> None:
    with pytest.raises(ParameterError):
        fashion(submit, "--param", assignment)
    assert server.experiments == []


def test_host_that_is_down() -> None:
    with pytest.raises(ClusterError):
        fashion(submit, "--host", f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time goes by between two looks at a run."""
    monkeypatch.setattr("pipeline.kubeflow.client.wait.time.sleep", lambda _: None)


@pytest.mark.usefixtures("no_pause")
def test_wait(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    passed = kfp.submit(packages["one"], "name", "e", {"n": 3})
    fashion(runs, "wait", passed.run_id)
    server.recorded = "failed"
    failed = kfp.submit(packages["one"], "name", "e", {"n": 3})
    with pytest.raises(PipelineError) as caught:
        fashion(runs, "wait", failed.run_id)
    assert caught.value.exit_code == ExitCode.FAILED
    assert str(caught.value) == "the run failed in train: KFP does not tell why"
    assert server.url in caught.value.hint


@pytest.mark.usefixtures("no_pause")
def test_wait_after_submitting(server: KfpServer) -> None:
    server.recorded = "no-driver"
    with pytest.raises(PipelineError) as caught:
        fashion(submit, "--wait")
    assert caught.value.exit_code == ExitCode.FAILED
    server.recorded = "passed"
    with pytest.raises(ClusterError, match="after 0 s"):
        fashion(submit, "--wait", "--timeout", "0")


def test_interrupt_leaves_the_run_alone(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Kfp(server.url).submit(packages["one"], "name", "e", {"n": 3})
    server.looks[run.run_id] = [26]
    main = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests may run without
        "from pipeline.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", main, "runs", "wait", run.run_id],
        env=environment_of(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert "ingest" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert f"fashion runs stop {run.run_id}" in errors
    assert server.calls_of("POST", ":terminate") == []


def test_stop(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Kfp(server.url).submit(packages["one"], "name", "e", {"n": 3})
    assert fashion(runs, "stop", run.run_id).splitlines()[-1] == "the run has ended"
    assert len(server.calls_of("POST", f"{run.run_id}:terminate")) == 1


@pytest.mark.usefixtures("no_pause")
def test_wait_for_an_image_that_is_not_there(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pipeline.kubeflow.client.observe.time", SimpleNamespace(monotonic=iter(range(9999)).__next__)
    )
    waits = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "i"'}
    kube.add_pod("root.exit-handler-1.ingest.executor", **main_container("Pending", waiting=waits))
    run = Kfp(server.url).submit(packages["one"], "name", "e", {"n": 3})
    server.looks[run.run_id] = [26]
    with pytest.raises(ClusterError, match="ingest cannot start, the image i cannot be pulled") as caught:
        fashion(runs, "wait", run.run_id)
    assert f"fashion runs stop {run.run_id}" in caught.value.hint


def test_schedule(server: KfpServer) -> None:
    fashion(schedule, "--cron", "0 3 * * *", "--param", "model=resnet-xs")
    made = server.schedules[0]
    assert made["display_name"] == "train"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert made["runtime_config"]["parameters"]["model"] == "resnet-xs"
    assert made["recurring_run_id"] in fashion(schedule, "list")
    fashion(schedule, "pause", "train")
    assert made["status"] == "DISABLED"
    fashion(schedule, "resume", made["recurring_run_id"])
    assert made["status"] == "ENABLED"
    fashion(schedule, "delete", "train")
    assert server.schedules == []


@pytest.mark.parametrize("arguments", [(), ("--cron", "0 3 * * *", "list"), ("--gpu", "-1")])
def test_schedule_used_wrongly(arguments: tuple[str, ...], server: KfpServer) -> None:
    with pytest.raises(click.UsageError):
        fashion(schedule, *arguments)
    assert server.calls == []


def test_options_of_the_group_hold_for_its_commands(server: KfpServer, monkeypatch: Any) -> None:
    monkeypatch.delenv("KFP_HOST")
    fashion(schedule, "--host", server.url, "--experiment", "other", "list")
    with pytest.raises(ClusterError):
        fashion(schedule, "list")
    assert [json.loads(call.query["filter"]) for call in server.calls_of("GET", "experiments")] == [
        {"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": "other"}]}
    ]


def test_help_is_quick() -> None:
    code = "import sys; import pipeline.cli.main; print([m for m in sys.modules if m in sys.argv])"
    heavy = ("kfp", "kfp_server_api", "kubernetes", "mlflow", "boto3", "requests", "tensorflow")
    printed = subprocess.check_output([sys.executable, "-c", code, *heavy], cwd=ROOT, text=True)
    assert printed == "[]\n"
