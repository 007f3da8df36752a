"""A real cluster for the tests of `make e2e`: what is deployed there, and a project that submits to it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.kubeflow.definition.image import default_image
from pipeline.tracking.runs import PIPELINE_RUN_TAG
from tests.support.ports import free_port
from tests.support.project import CODE, ROOT
from tests.support.project import MODEL as EXPERIMENT

OVERLAY = ROOT / "infra" / "kubernetes" / "overlays" / "local"
NAMESPACE = "kubeflow"
NOW = int(time.time())
MODEL = f"e2e-{NOW}"
"""A registered model of this session's own; its seeds are new to the cache, too."""
QUICK = ("--param", "model=resnet-xs", "--param", "epochs=1", "--param", f"register.model_name={MODEL}")
LOW = ("--param", "accuracy_min=0.85", "--param", "worst_recall_min=0.4")
SMALL = ("--cpu", "500m:2", "--memory", "2Gi:6Gi", "--service-account", "fashion-runner")


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Runs kubectl and returns what it printed."""
    return subprocess.run(
        ["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=True, timeout=400
    ).stdout


@contextmanager
def forwarded(service: str, port: int) -> Iterator[str]:
    """A port of this machine that leads to a service of the cluster."""
    local = free_port()
    command = ["kubectl", "-n", "fashion", "port-forward", f"service/{service}", f"{local}:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert "Forwarding" in process.stdout.readline()
        try:
            yield f"http://127.0.0.1:{local}"
        finally:
            process.terminate()


def eventually(what: str, ask: Callable[[], Any], seconds: float = 300) -> Any:
    """Asks until there is an answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(2)
    pytest.fail(f"{what}: not within {seconds:.0f} s")


@dataclass(frozen=True)
class Ended:
    """A run that was waited for."""

    run_id: str
    code: int
    output: str

    def step(self, name: str) -> str:
        """What the last table says of a step."""
        table = self.output.rpartition("\nstep ")[2]
        return next((line for line in table.splitlines() if line.startswith(name)), "")


@dataclass(frozen=True)
class Cluster:
    """The cluster, and a copy of the project that submits to it."""

    root: Path
    environment: dict[str, str]
    mlflow: MlflowClient

    def fashion(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `fashion`, and shows what it prints as it does."""
        print(f"\n$ fashion {' '.join(arguments)}", flush=True)
        lines = []
        with subprocess.Popen(
            ["fashion", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout
            for line in process.stdout:
                print(line, end="", flush=True)
                lines.append(line)
        return subprocess.CompletedProcess(arguments, process.returncode, "".join(lines))

    def submit(self, *arguments: str) -> Ended:
        """Submits, and waits."""
        result = self.fashion("submit", "--wait", *SMALL, *arguments)
        return Ended(run_id_of(result.stdout), result.returncode, result.stdout)

    def pods(self, run_id: str) -> list[dict[str, Any]]:
        """The pods of a run."""
        listed = kubectl("-n", NAMESPACE, "get", "pods", "-l", f"pipeline/runid={run_id}", "-o", "json")
        return list(json.loads(listed)["items"])

    def training_pod(self, run_id: str) -> dict[str, Any] | None:
        """The pod that trains: the one that asks for a GPU."""
        return next((pod for pod in self.pods(run_id) if asks_for_gpu(pod)), None)

    def versions(self) -> list[int]:
        """Versions of the registered model."""
        return sorted(int(v.version) for v in self.mlflow.search_model_versions(f"name = '{MODEL}'"))

    def run_of(self, run_id: str) -> Run:
        """The MLflow run of a pipeline run."""
        experiment = self.mlflow.get_experiment_by_name(EXPERIMENT)
        assert experiment
        tag = PIPELINE_RUN_TAG + run_id
        (run,) = self.mlflow.search_runs([experiment.experiment_id], f"tags.`{tag}` LIKE '%'")
        return run


def run_id_of(output: str) -> str:
    """The id in the run's address."""
    return output.partition("/runs/details/")[2].split()[0]


def asks_for_gpu(pod: dict[str, Any]) -> bool:
    """Whether a container of the pod asks for a GPU."""
    return any(
        "nvidia.com/gpu" in container["resources"].get("limits", {})
        for container in pod["spec"]["containers"]
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster with the overlay `local`, the data in its bucket."""
    assert os.environ.get("KFP_HOST"), "set KFP_HOST to the address of KFP"
    image = os.environ.get("FASHION_IMAGE") or default_image()
    manifests = kubectl("kustomize", str(OVERLAY)).replace("fashion-pipeline:unset", image)
    kubectl("apply", "-f", "-", stdin=manifests)
    for name in ("s3", "mlflow"):
        kubectl("-n", "fashion", "rollout", "status", f"deployment/{name}", "--timeout", "5m")
    root = tmp_path_factory.mktemp("e2e") / "project"
    for name in CODE:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, target)
    keys = (OVERLAY / "fashion-storage.env").read_text().splitlines()
    with ExitStack() as stack:
        s3, mlflow = (stack.enter_context(forwarded(n, p)) for n, p in (("s3", 9000), ("mlflow", 5000)))
        settings = dict(line.split("=", 1) for line in keys if line and not line.startswith("#"))
        settings |= {"AWS_ENDPOINT_URL": s3, "AWS_DEFAULT_REGION": "us-east-1", "MLFLOW_TRACKING_URI": mlflow}
        settings |= {"FASHION_STATE_URL": "s3://fashion/state", "FASHION_IMAGE": image}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        os.environ.update(settings)  # for open_storage below
        environment = os.environ | {"PATH": path, "PYTHONPATH": "."}
        for command in (
            ["config", "core.no_scm", "true"],
            ["cache", "dir", str(ROOT / ".dvc" / "cache")],
            ["remote", "add", "--default", "storage", "s3://fashion/dvc"],
            ["remote", "modify", "storage", "endpointurl", s3],
            ["checkout", "--quiet", "data.dvc"],
            ["push", "--quiet", "data.dvc"],
        ):
            subprocess.run(["dvc", *command], cwd=root, env=environment, check=True, timeout=300)
        yield Cluster(root, environment, MlflowClient(mlflow))
