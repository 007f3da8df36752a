"""A real MLflow server, and what is kept there."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from tests.support.ports import free_port, wait_for_http
from tests.support.project import MODEL


@dataclass
class Server:
    """A running MLflow server."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def serving(
    folder: Path,
    artifacts: str = "",
    environment: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """A real MLflow server on the files of a folder, which also serves the artifacts.

    Args:
        folder: Where its database is, and its log.
        artifacts: Where it keeps the artifacts; by default in the folder.
        environment: Variables of its own.
        wrapper: A command that runs the server's.
        options: Options of its own.
    """
    port = free_port()
    command = [*wrapper, sys.executable, "-m", "mlflow", "server"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--workers", "1"]
    command += ["--artifacts-destination", artifacts or str(folder / "served"), "--serve-artifacts", *options]
    variables = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | dict(environment or {})
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for_http(f"http://127.0.0.1:{port}/health", process)
        yield Server(f"http://127.0.0.1:{port}", process)
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def versions(client: MlflowClient) -> list[int]:
    """Versions of the registered model."""
    return sorted(int(v.version) for v in client.search_model_versions(f"name = '{MODEL}'"))


def runs(client: MlflowClient, experiment: str = MODEL) -> list[Run]:
    """Runs of an experiment."""
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []
