"""What the options of a submission mean, and what is refused before KFP is asked for anything."""

from pathlib import Path
from typing import Any

import click
import pytest

from components.common.errors import ClusterError, ParameterError
from pipeline.cli.kubeflow import compile_, submit
from pipeline.cli.options import cluster_of, cluster_options
from pipeline.cli.schedule import schedule
from pipeline.kubeflow.definition.resources import Cluster, Toleration
from tests.support.kfp_fixtures import IMAGE, fashion
from tests.support.kfp_server import KfpServer
from tests.support.project import ROOT

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("ready_to_submit")


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
        fashion(submit, *arguments)
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
    [(submit, ()), (schedule, ("--cron", "0 3 * * *")), (compile_, ("--output", "never.yaml"))],
)
def test_code_that_no_image_holds(
    command: click.Command, arguments: tuple[str, ...], server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = {"mlflow.source.git.commit": "0123456789abcdef"}
    changed = ["infra/image/Dockerfile"]
    monkeypatch.setattr("pipeline.kubeflow.definition.image.git_version", lambda: version)
    monkeypatch.setattr(
        "pipeline.kubeflow.definition.image.is_changed", lambda *paths: bool({*paths} & {*changed})
    )
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
    monkeypatch.setattr("pipeline.kubeflow.definition.arguments.default_remote", lambda root: remote)
    with pytest.raises(ParameterError, match="remote") as caught:
        fashion(submit, "--gpu", "0")
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
        fashion(submit, *arguments)
    assert server.calls == []


def test_an_address_that_is_none(server: KfpServer) -> None:
    with pytest.raises(ClusterError, match="is no address"):
        fashion(submit, "--host", "http://[::1", "--gpu", "0")
