"""Real data (a fixed subset where speed needs it), real projects in temporary folders, a real server."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Run

from components.common import idx
from components.ingest.step import check
from pipeline import params as parameters
from pipeline.data.dataset import manifest
from tests.support.project import (
    MODEL,
    ROOT,
    TEST_EACH,
    TRAIN_EACH,
    Project,
    environment_of,
    new_project,
    subset_settings,
    without_store,
)

os.environ.update(DVC_NO_ANALYTICS="1", GX_ANALYTICS_ENABLED="false", MLFLOW_DISABLE_TELEMETRY="true")
# Without the last, Python writes __pycache__ into the steps' folders, as it does for most users.
for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "PYTHONDONTWRITEBYTECODE"):
    os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests that wait for one folder first: an idle worker takes over the last ones of the other."""
    items.sort(key=lambda item: "local" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The project's `data/`, which `make test` obtains."""
    missing, wrong = check(ROOT / "data", manifest(ROOT).sha256)
    assert not missing, f"run `fashion data` first: {missing}"
    assert not wrong
    return ROOT / "data"


@pytest.fixture(scope="session")
def subset(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first images of each class of the real data, as IDX files."""
    folder = tmp_path_factory.mktemp("subset")
    sizes: dict[idx.Split, int] = {"train": TRAIN_EACH, "test": TEST_EACH}
    for split, each in sizes.items():
        images, labels = idx.read_split(real_data, split)
        rows = np.sort(np.concatenate([np.flatnonzero(labels == c)[:each] for c in range(10)]))
        idx.write(folder / idx.file_name(split, "images"), images[rows])
        idx.write(folder / idx.file_name(split, "labels"), labels[rows])
    return folder


@pytest.fixture(scope="session")
def subset_params() -> parameters.Params:
    """The parameters of the subset, checked."""
    return parameters.parse(subset_settings(), "subset")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this session see."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@contextmanager
def made_once(folder: Path) -> Iterator[bool]:
    """Whether the block should fill the folder: only one worker does, the others wait for it."""
    with FileLock(f"{folder}.lock"):
        yield not (folder / "done").exists()
        (folder / "done").touch()


@pytest.fixture(scope="session")
def trained(subset: Path, shared_folder: Path) -> Project:
    """A project whose pipeline has run. Shared: look, don't touch."""
    root = shared_folder / "trained" / "project"
    with made_once(root.parent) as mine:
        if mine:
            project = new_project(root, subset)
            assert project.reproduce() == ["validate", "train", "evaluate", "gate", "register"]
            project.git("add", "--all")
            project.git("commit", "--quiet", "--message", "trained")
    return Project(root, environment_of(root))


@pytest.fixture(scope="session")
def fresh(subset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without git, nothing of it run yet. Shared: copy it."""
    return new_project(tmp_path_factory.mktemp("fresh") / "project", subset, git=False).root


@pytest.fixture
def fresh_project(fresh: Path, tmp_path: Path) -> Project:
    """A copy of it to do with as one likes."""
    root = tmp_path / "project"
    shutil.copytree(fresh, root, ignore=shutil.ignore_patterns("__pycache__", "site"))
    return Project(root, environment_of(root))


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    """A copy of the trained project to do with as one likes.

    Its store of runs is lost, of which DVC knows nothing: `registration.json` is still there.
    """
    return without_store(trained, tmp_path / "project")


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_http(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Waits until a server answers, and fails when its process ends or time is up."""
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, f"the server of {url} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{url} does not answer"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)


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
) -> Iterator[Server]:
    """A real MLflow server on the files of a folder, which also serves the artifacts.

    Args:
        folder: Where its database is, and its log.
        artifacts: Where it keeps the artifacts; by default in the folder.
        environment: Variables of its own.
        wrapper: A command that runs the server's.
    """
    port = free_port()
    command = [*wrapper, sys.executable, "-m", "mlflow", "server"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--workers", "1"]
    command += ["--artifacts-destination", artifacts or str(folder / "served"), "--serve-artifacts"]
    variables = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | dict(environment or {})
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for_http(f"http://127.0.0.1:{port}/health", process)
        yield Server(f"http://127.0.0.1:{port}", process)
    finally:
        os.killpg(process.pid, 9)
        process.wait()


@pytest.fixture(scope="session")
def registered(trained: Project, shared_folder: Path) -> Path:
    """Folder of the trained project, registered on a server, and of the server's files."""
    folder = shared_folder / "registered"
    with made_once(folder) as mine:
        if mine:
            project = without_store(trained, folder / "project")
            (project.root / "mlruns" / "registration.json").unlink()
            (folder / "server").mkdir()
            with serving(folder / "server") as server:
                project.environment["MLFLOW_TRACKING_URI"] = server.url
                assert project.reproduce() == ["register"]
    return folder


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A pipeline run with its own state storage."""
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path / "state"))
    monkeypatch.setenv("FASHION_RUN_ID", "run-1")
    for name in ("KFP_RETRY_INDEX", "FASHION_RUN_LOCAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pipeline.kubeflow.runtime.entrypoint.TERMINATION_LOG", tmp_path / "termination-log")
    return str(tmp_path / "state")


@pytest.fixture
def mlflow_server(registered: Path, tmp_path: Path) -> Iterator[Server]:
    """A server on which the trained project is registered."""
    shutil.copytree(registered / "server", tmp_path / "server")
    with serving(tmp_path / "server") as server:
        yield server


@pytest.fixture
def client(mlflow_server: Server) -> MlflowClient:
    """The server's client."""
    return MlflowClient(mlflow_server.url)


@pytest.fixture
def served(registered: Path, mlflow_server: Server, tmp_path: Path) -> Project:
    """The trained project, registered on the server."""
    root = tmp_path / "project"
    shutil.copytree(registered / "project", root, ignore=shutil.ignore_patterns("__pycache__", "site"))
    return Project(root, environment_of(root) | {"MLFLOW_TRACKING_URI": mlflow_server.url})


def versions(client: MlflowClient) -> list[int]:
    """Versions of the registered model."""
    return sorted(int(v.version) for v in client.search_model_versions(f"name = '{MODEL}'"))


def runs(client: MlflowClient, experiment: str = MODEL) -> list[Run]:
    """Runs of an experiment."""
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []
