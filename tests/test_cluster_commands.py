"""`fashion submit`, `schedule` and `runs`, with the project's own pipelines, against KFP's REST API."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from components.common.errors import ClusterError, ExitCode, ParameterError, PipelineError
from pipeline.kubeflow import cli
from pipeline.kubeflow.client import Kfp
from pipeline.kubeflow.commands import compile_
from pipeline.kubeflow.options import cluster_of, cluster_options
from pipeline.kubeflow.settings import Cluster, Toleration
from tests.conftest import free_port
from tests.kfp_server import KfpServer
from tests.project import ROOT, environment_of

pytest_plugins = ("tests.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")

IMAGE = "registry/fashion-pipeline:0123456789ab"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, server: KfpServer) -> None:
    """The project's folder with a DVC remote, an image, and a server."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("pipeline.kubeflow.form.default_remote", lambda root: "s3://fashion/dvc")
    monkeypatch.setenv("FASHION_IMAGE", IMAGE)
    monkeypatch.setenv("KFP_HOST", server.url)


def fashion(command: click.Command, *arguments: str) -> str:
    """Runs a command, and returns what it printed."""
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.output


def cluster(*arguments: str) -> Cluster:
    """What options ask of a cluster."""

    @click.command()
    @cluster_options
    def command(**options: Any) -> Cluster:
        made = cluster_of(options)
        assert options == {}
        return made

    made: Cluster = command.main(list(arguments), standalone_mode=False)
    return made


def test_defaults_are_the_settings_own() -> None:
    assert cluster() == Cluster(IMAGE)


def test_every_setting() -> None:
    made = cluster(
        *("--image", "other:1", "--gpu", "2", "--accelerator", "amd.com/gpu"),
        *("--node-selector", "a=b", "--node-selector", "c=d", "--toleration", "k=v:NoSchedule"),
        *("--cpu", "500m:2.5", "--memory", "4Gi:8G", "--shared-memory", "2Gi"),
        *("--time-limit", "60", "--retries", "0"),
    )
    assert made == Cluster(
        image="other:1",
        gpus=2,
        accelerator="amd.com/gpu",
        node_selector={"a": "b", "c": "d"},
        tolerations=(Toleration("k", "v", "NoSchedule"),),
        cpu=("500m", "2.5"),
        memory=("4Gi", "8G"),
        shared_memory="2Gi",
        time_limit=60,
        retries=0,
    )


def test_any_node() -> None:
    made = cluster("--node-selector", "none", "--toleration", "none", "--cpu", "2")
    assert (made.selector, made.tolerated, made.cpu) == ({}, (), ("2", "2"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--image", "fashion-pipeline:latest"),
        ("--image", "UPPER CASE:tag"),
        ("--image", "fashion-pipeline:a b"),
        ("--image", "registry/:1"),
        ("--image", f"Fashion@sha256:{'a' * 64}"),
        ("--accelerator", "foo bar"),
        ("--accelerator", "gpu"),
        ("--accelerator", "nvidia.com/"),
        ("--cpu", "two"),
        ("--cpu", "2:1"),
        ("--cpu", "2:"),
        ("--memory", "4GB"),
        ("--memory", "4Gi:4G"),
        ("--shared-memory", ""),
        ("--node-selector", "gpu"),
        ("--node-selector", "bad key!=x y"),
        ("--node-selector", "key=x y"),
        ("--node-selector", "a/b/c=d"),
        ("--node-selector", f"{'k' * 64}=v"),
        ("--toleration", "bad-=v"),
        ("--toleration", "k=v:Never"),
    ],
)
def test_setting_that_is_none(arguments: tuple[str, str], server: KfpServer) -> None:
    with pytest.raises(ParameterError) as caught:
        fashion(cli.submit, *arguments)
    assert caught.value.hint
    assert server.calls == []


@pytest.mark.parametrize(
    "name", ["host.example.org:5000/a/b_c--d:V1.x_y", f"a.b/c:1@sha256:{'0a' * 32}", "a:1"]
)
def test_setting_that_is_one(name: str) -> None:
    made = cluster(
        *("--image", name, "--accelerator", "nvidia.com/mig-1g.5gb"),
        *("--node-selector", "pool=", "--node-selector", "cloud.google.com/gke-accelerator=nvidia-l4"),
    )
    assert (made.image, made.accelerator) == (name, "nvidia.com/mig-1g.5gb")
    assert made.selector == {"pool": "", "cloud.google.com/gke-accelerator": "nvidia-l4"}


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(cli.submit, ()), (cli.schedule, ("--cron", "0 3 * * *")), (compile_, ("--output", "never.yaml"))],
)
def test_code_that_no_image_holds(
    command: click.Command, arguments: tuple[str, ...], server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = {"mlflow.source.git.commit": "0123456789abcdef"}
    changed = ["infra/image/Dockerfile"]
    monkeypatch.setattr("pipeline.kubeflow.settings.git_version", lambda: version)
    monkeypatch.setattr("pipeline.kubeflow.settings.is_changed", lambda *paths: bool({*paths} & {*changed}))
    assert (cluster().image, cluster("--image", "other:1").image) == (IMAGE, "other:1")
    monkeypatch.delenv("FASHION_IMAGE")
    with pytest.raises(ParameterError, match="the code differs from the commit") as caught:
        fashion(command, *arguments)
    assert "--image" in caught.value.hint
    assert server.calls == []
    assert not (ROOT / "never.yaml").exists()
    changed[:] = ["params.yaml", "dvc.yaml"]
    assert cluster().image == "fashion-pipeline:0123456789ab-gpu"


@pytest.mark.parametrize(
    "remote", ["", "/a/folder", "https://me:secret@host/dvc", "s3://me:secret@bucket/dvc"]
)
def test_a_remote_that_no_pod_can_read_is_refused(
    server: KfpServer, remote: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("pipeline.kubeflow.form.default_remote", lambda root: remote)
    with pytest.raises(ParameterError, match="remote") as caught:
        fashion(cli.submit, "--gpu", "0")
    assert "secret" not in str(caught.value)
    assert server.runs == []
    compiled = tmp_path / "pipeline.yaml"
    if remote:  # a file for KFP's UI may leave it open, but holds no password
        with pytest.raises(ParameterError, match="remote"):
            fashion(compile_, "--output", str(compiled))
    else:
        fashion(compile_, "--output", str(compiled))
    assert compiled.exists() is not bool(remote)


@pytest.mark.parametrize(
    "arguments",
    [("--gpu", "99999999999999999999"), ("--time-limit", str(10**20)), ("--retries", "99999999999999")],
)
def test_a_number_that_kubernetes_does_not_take(arguments: tuple[str, str], server: KfpServer) -> None:
    with pytest.raises(click.UsageError, match="is not in the range"):
        fashion(cli.submit, *arguments)
    assert server.calls == []


def test_an_address_that_is_none(server: KfpServer) -> None:
    with pytest.raises(ClusterError, match="is no address"):
        fashion(cli.submit, "--host", "http://[::1", "--gpu", "0")


def test_submit(server: KfpServer) -> None:
    printed = fashion(
        cli.submit,
        *("--gpu", "0", "--param", "train.epochs=3", "--param", "accuracy_min=0.95", "--no-cache"),
    )
    run = server.runs[0]
    assert printed == f"{run['display_name']}\n{server.url}/#/runs/details/{run['run_id']}\n"
    parameters = run["runtime_config"]["parameters"]
    assert (parameters["epochs"], parameters["accuracy_min"], parameters["model"]) == (3, 0.95, "house")
    spec = run["pipeline_spec"]["pipeline_spec"]
    executors = spec["deploymentSpec"]["executors"]
    assert {executor["container"]["image"] for executor in executors.values()} == {IMAGE}
    assert "accelerator" not in json.dumps(executors)
    assert '"enableCache"' not in json.dumps(spec)
    assert server.experiments[0]["display_name"] == "fashion-mnist"


def test_sweep(server: KfpServer) -> None:
    candidates = ["model.name=quick", "model.name=cnn-32 train.epochs=2"]
    fashion(cli.submit, "--sweep", candidates[0], "--sweep", candidates[1], "--name", "both")
    run = server.runs[0]
    assert run["runtime_config"]["parameters"]["candidates"] == candidates
    spec = run["pipeline_spec"]["pipeline_spec"]
    assert spec["pipelineInfo"]["name"] == "fashion-mnist-sweep"
    assert run["display_name"] == "both"


@pytest.mark.parametrize("assignment", ["train.epoch=3", "train.epochs=many", "epochs", "remote", "nn=1"])
def test_bad_parameter_is_refused_before_anything_is_asked_for(assignment: str, server: KfpServer) -> None:
    with pytest.raises(ParameterError):
        fashion(cli.submit, "--param", assignment)
    assert server.experiments == []


def test_host_that_is_down() -> None:
    with pytest.raises(ClusterError):
        fashion(cli.submit, "--host", f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time goes by between two looks at a run."""
    monkeypatch.setattr("pipeline.kubeflow.watch.time.sleep", lambda _: None)


@pytest.mark.usefixtures("no_pause")
def test_wait(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    passed = kfp.submit(packages["one"], "name", "e", {"n": 3})
    fashion(cli.runs, "wait", passed.run_id)
    server.recorded = "failed"
    failed = kfp.submit(packages["one"], "name", "e", {"n": 3})
    with pytest.raises(PipelineError) as caught:
        fashion(cli.runs, "wait", failed.run_id)
    assert caught.value.exit_code == ExitCode.FAILED
    assert str(caught.value) == "the run failed in train: KFP does not tell why"
    assert server.url in caught.value.hint


@pytest.mark.usefixtures("no_pause")
def test_wait_after_submitting(server: KfpServer) -> None:
    server.recorded = "no-driver"
    with pytest.raises(PipelineError) as caught:
        fashion(cli.submit, "--wait")
    assert caught.value.exit_code == ExitCode.FAILED
    server.recorded = "passed"
    with pytest.raises(ClusterError, match="after 0 s"):
        fashion(cli.submit, "--wait", "--timeout", "0")


def test_interrupt_leaves_the_run_alone(server: KfpServer, packages: dict[str, Path]) -> None:
    run = Kfp(server.url).submit(packages["one"], "name", "e", {"n": 3})
    server.looks[run.run_id] = [26]
    main = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests may run without
        "from pipeline.cli import main; main()"
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
    fashion(cli.runs, "stop", run.run_id)
    assert len(server.calls_of("POST", f"{run.run_id}:terminate")) == 1


def test_schedule(server: KfpServer) -> None:
    fashion(cli.schedule, "--cron", "0 3 * * *", "--param", "model=quick")
    made = server.schedules[0]
    assert made["display_name"] == "train"
    assert made["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert made["runtime_config"]["parameters"]["model"] == "quick"
    assert made["recurring_run_id"] in fashion(cli.schedule, "list")
    fashion(cli.schedule, "pause", "train")
    assert made["status"] == "DISABLED"
    fashion(cli.schedule, "resume", made["recurring_run_id"])
    assert made["status"] == "ENABLED"
    fashion(cli.schedule, "delete", "train")
    assert server.schedules == []


@pytest.mark.parametrize("arguments", [(), ("--cron", "0 3 * * *", "list"), ("--gpu", "-1")])
def test_schedule_used_wrongly(arguments: tuple[str, ...], server: KfpServer) -> None:
    with pytest.raises(click.UsageError):
        fashion(cli.schedule, *arguments)
    assert server.calls == []


def test_options_of_the_group_hold_for_its_commands(server: KfpServer, monkeypatch: Any) -> None:
    monkeypatch.delenv("KFP_HOST")
    fashion(cli.schedule, "--host", server.url, "--experiment", "other", "list")
    with pytest.raises(ClusterError):
        fashion(cli.schedule, "list")
    assert [json.loads(call.query["filter"]) for call in server.calls_of("GET", "experiments")] == [
        {"predicates": [{"operation": "EQUALS", "key": "display_name", "string_value": "other"}]}
    ]


def test_help_is_quick() -> None:
    code = "import sys; import pipeline.kubeflow.cli; print([m for m in sys.modules if m in sys.argv])"
    heavy = ("kfp", "kfp_server_api", "kubernetes", "mlflow", "boto3", "requests", "tensorflow")
    printed = subprocess.check_output([sys.executable, "-c", code, *heavy], cwd=ROOT, text=True)
    assert printed == "[]\n"
