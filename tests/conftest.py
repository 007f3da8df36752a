"""Real data (a fixed subset where speed needs it), real projects in temporary folders, a real server."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from filelock import FileLock
from mlflow import MlflowClient

from components.ingest.step import check
from components.registry.registry import Registry
from pipeline import params as parameters
from pipeline.data.dataset import manifest
from pipeline.tracking.settings import configure_mlflow
from tests.support.data_files import write_subset
from tests.support.mlflow_server import Server, serving
from tests.support.project import (
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
    """Puts the tests first that wait for folders that take long to make.

    The second worker begins with the second half, on tests that need none of them, and takes over the last
    ones of the first worker when it has no more.
    """
    items.sort(
        key=lambda item: [name not in getattr(item, "fixturenames", ()) for name in ("local", "trained")]
    )


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
    return write_subset(real_data, tmp_path_factory.mktemp("subset"), TRAIN_EACH, TEST_EACH)


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
    with made_once(root.parent) as is_first:
        if is_first:
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


@pytest.fixture(scope="session")
def registered(trained: Project, shared_folder: Path) -> Path:
    """Folder of the trained project, registered on a server, and of the server's files."""
    folder = shared_folder / "registered"
    with made_once(folder) as is_first:
        if is_first:
            project = without_store(trained, folder / "project")
            (project.root / "mlruns" / "registration.json").unlink()
            (folder / "server").mkdir()
            with serving(folder / "server") as server:
                project.environment["MLFLOW_TRACKING_URI"] = server.url
                assert project.reproduce() == ["register"]
    return folder


@pytest.fixture
def restored_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Removes the variables that the test sets: MLflow sets MLFLOW_TRACKING_URI when a store is opened."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


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


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that each have a registered model of their own."""
    with serving(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture
def registry(
    registry_server: Server, restored_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Registry:
    """A registered model without versions, on a real server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_server.url)
    configure_mlflow()
    mlflow.set_tracking_uri(registry_server.url)
    return Registry(MlflowClient(), f"model-{uuid.uuid4().hex[:8]}")


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
