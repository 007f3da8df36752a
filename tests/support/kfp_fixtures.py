"""Fixtures of the tests that talk to KFP: `pytest_plugins = ("tests.support.kfp_fixtures",)`."""

# mypy: disable-error-code="untyped-decorator"
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from components.common.errors import ClusterError, ExitCode
from pipeline.kubeflow.client.api import Kfp, SubmittedRun
from pipeline.kubeflow.client.submission import Submission, read_package
from tests.support.json_server import serving
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer
from tests.support.project import ROOT

EVERY_VARIABLE = (
    "KFP_HOST",
    "MLFLOW_TRACKING_URI",
    "FASHION_STATE_URL",
    "FASHION_IMAGE",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
)


IMAGE = "registry/fashion-pipeline:0123456789ab"
"""What FASHION_IMAGE names."""


def fashion(command: click.Command, *arguments: str) -> str:
    """Runs a command, and returns what it printed."""
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.output


def start_run(
    kfp: Kfp,
    package: Path,
    name: str,
    experiment: str,
    arguments: dict[str, Any],
    cached: bool = True,
    service_account: str | None = None,
) -> SubmittedRun:
    """Starts a run of a compiled pipeline."""
    return kfp.submit(Submission(read_package(package, cached), arguments, service_account), name, experiment)


def connection_error(host: str, **options: Any) -> ClusterError:
    """The error of a connection that fails, within seconds."""
    since = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        Kfp(host, **options)
    assert time.monotonic() - since < 3
    assert caught.value.exit_code == ExitCode.CLUSTER
    assert caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint
    return caught.value


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster and no server of whoever runs the tests."""
    for name in EVERY_VARIABLE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "no-kubeconfig"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server(bare_environment: None) -> Iterator[KfpServer]:
    """KFP for a single user."""
    with serving(KfpServer()) as running:
        yield running


@pytest.fixture
def ready_to_submit(monkeypatch: pytest.MonkeyPatch, server: KfpServer) -> None:
    """The project's folder with a DVC remote, an image, and a server."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(
        "pipeline.kubeflow.definition.arguments.default_remote", lambda root: "s3://fashion/dvc"
    )
    monkeypatch.setenv("FASHION_IMAGE", IMAGE)
    monkeypatch.setenv("KFP_HOST", server.url)


@pytest.fixture
def kube(bare_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeServer]:
    """The cluster that the kubeconfig names."""
    with serving(KubeServer()) as running:
        monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig(tmp_path / "kubeconfig")))
        yield running


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pipelines of `kfp_runs.json`, compiled by KFP."""
    from kfp import dsl, kubernetes
    from kfp.compiler import Compiler

    component: Any = dsl.component(base_image="localhost/tiny:1", install_kfp_package=False)
    pipeline: Any = dsl.pipeline

    @component
    def ingest(n: int) -> int:
        return n

    @component
    def train(n: int, mode: str, candidate: str = "") -> int:
        return n

    @component
    def gate(n: int, bound: int) -> bool:
        return n >= bound

    @component
    def register(n: int) -> None:
        print(n)

    @component
    def finish() -> None:
        print("end")

    @pipeline(name="one")
    def one(n: int, bound: int = 2, mode: str = "ok") -> None:
        end = finish().set_caching_options(False)
        with dsl.ExitHandler(end, name="pipeline"):
            data = ingest(n=n)
            trained = train(n=data.output, mode=mode).set_retry(1, backoff_duration="2s")
            kubernetes.add_toleration(trained, key="nvidia.com/gpu", operator="Exists")
            judged = gate(n=trained.output, bound=bound)
            with dsl.If(judged.output == True, name="passed"):  # noqa: E712
                register(n=trained.output).set_caching_options(False)

    @pipeline(name="several")
    def several(n: int, candidates: list[str]) -> None:
        end = finish().set_caching_options(False)
        with dsl.ExitHandler(end, name="pipeline"):
            data = ingest(n=n)
            with dsl.ParallelFor(candidates, name="candidates") as candidate:
                train(n=data.output, mode="ok", candidate=candidate)

    folder = tmp_path_factory.mktemp("packages")
    for made in (one, several):
        Compiler().compile(made, str(folder / f"{made.name}.yaml"))
    return {name: folder / f"{name}.yaml" for name in ("one", "several")}
