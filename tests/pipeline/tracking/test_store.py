"""Where runs, artifacts and models are kept, whatever the environment says."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from components.common.errors import TrackingError
from pipeline.tracking.runs import Tracker
from pipeline.tracking.store import sqlite_file, store_folder, tracking_uri
from tests.support.mlflow_server import runs
from tests.support.project import MODEL, ROOT, Project, without_store

pytestmark = pytest.mark.usefixtures("restored_environment")


def test_a_model_is_kept_with_its_run_in_a_folder_of_any_name(trained: Project, tmp_path: Path):
    """Its own experiment's place, not that of the one that the environment calls the active one."""
    project = without_store(trained, tmp_path / "per%20cent a?b#c")
    (project.root / "mlruns" / "registration.json").unlink()

    project.fashion("step", "register", MLFLOW_EXPERIMENT_ID="4711", MLFLOW_ACTIVE_MODEL_ID="m-4711")

    assert [path.name for path in tmp_path.iterdir()] == [project.root.name]
    client = MlflowClient(tracking_uri(project.root))
    champion = client.get_model_version_by_alias(MODEL, "champion")
    (run,) = runs(client)
    assert champion.run_id == run.info.run_id
    model = client.get_logged_model(champion.source.removeprefix("models:/"))
    assert model.experiment_id == run.info.experiment_id
    assert model.source_run_id == run.info.run_id
    (saved,) = (project.root / "mlruns" / "artifacts").rglob("model.keras")
    assert model.model_id in saved.parts
    # MLflow 3.17 itself cannot open a model where it lies in a folder with a `%` in its name.
    uri = client.get_model_version_download_uri(MODEL, champion.version)
    copy = download_artifacts(uri, dst_path=str(tmp_path), tracking_uri=client.tracking_uri)
    assert mlflow.models.Model.load(copy).run_id == run.info.run_id


def test_the_experiment_default_of_a_new_store_does_not_lie_in_a_copy_that_dvc_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmpabc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)

    client = Tracker(copy, MODEL).client

    assert Path(client.get_experiment("0").artifact_location) == tmp_path / "mlruns" / "0"
    assert Path.cwd() == copy


@pytest.mark.parametrize("name", ["a b", "ü#", "a+b"])
def test_an_address_that_needs_no_quotes_has_none(tmp_path: Path, name: str):
    uri = tracking_uri(tmp_path / name)

    assert uri == f"sqlite:///{tmp_path}/{name}/mlruns/mlflow.db"
    assert sqlite_file(uri) == tmp_path / name / "mlruns" / "mlflow.db"


def test_a_database_without_its_folder_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/nowhere/mlflow.db")

    with pytest.raises(TrackingError, match="there is no folder"):
        Tracker(tmp_path, MODEL)


def test_a_folder_whose_name_mlflow_cannot_write_into_its_database_is_named(tmp_path: Path):
    root = tmp_path / "o'brien"

    with pytest.raises(TrackingError, match="o'brien/mlruns: the path has an apostrophe"):
        Tracker(root, MODEL)


@pytest.mark.slow
def test_a_database_that_another_process_has_locked_is_named(tmp_path: Path):
    Tracker(tmp_path, MODEL)
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")

        with pytest.raises(TrackingError, match=r"mlflow\.db is locked by another process"):
            Tracker(tmp_path, MODEL)


def test_a_store_that_was_killed_while_it_was_created_is_created_anew(tmp_path: Path):
    """The process ends at the first table of the migrations, which MLflow cannot repeat."""
    script = (
        "import os\n"
        "from pathlib import Path\n"
        "from sqlalchemy import Engine, event\n"
        "@event.listens_for(Engine, 'after_cursor_execute')\n"
        "def end(connection, cursor, statement, *_):\n"
        "    if '_alembic_tmp_' in statement: os._exit(9)\n"
        "from pipeline.tracking.store import open_store\n"
        "open_store(Path('.').resolve())\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=False)
    assert killed.returncode == 9
    assert (tmp_path / "mlruns" / "mlflow.db").exists()

    tracker = Tracker(tmp_path, MODEL)

    assert tracker.client.get_experiment_by_name(MODEL).experiment_id == tracker.experiment_id
    assert not (tmp_path / "mlruns" / ".unfinished").exists()


def test_experiments_of_dvc_share_the_projects_store(tmp_path: Path):
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"

    assert store_folder(copy) == tmp_path / "mlruns"
    assert store_folder(tmp_path) == tmp_path / "mlruns"
