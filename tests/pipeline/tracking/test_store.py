"""Where runs, artifacts and models are kept, whatever the environment says; and what cannot be kept."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from botocore.exceptions import NoCredentialsError
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from components.common.errors import TrackingError
from pipeline import steps
from pipeline.project import Project as Places
from pipeline.tracking.artifacts import check_artifacts
from pipeline.tracking.runs import Tracker
from pipeline.tracking.store import sqlite_file, tracking_uri
from tests.support.mlflow_server import Server, runs, serving, versions
from tests.support.project import MODEL, Project, without_store
from tests.support.s3_server import NO_KEYS, set_environment


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """MLflow's tracking URI is a variable of this process, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        before = dict(os.environ)
        yield
        os.environ.clear()
        os.environ.update(before)


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


def test_a_run_id_of_the_environment_that_is_stale_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "4711")

    with pytest.raises(TrackingError, match="there is no run 4711, which MLFLOW_RUN_ID names"):
        Tracker(tmp_path, MODEL)


def test_an_artifact_store_that_cannot_be_used_is_found_before_training(
    served: Project, client: MlflowClient, tmp_path: Path
):
    """Without keys of S3; and in a folder that this user may not write, or that is none."""
    (tmp_path / "file").write_text("no folder")
    places = {"without-keys": "s3://bucket/prefix", "no-folder": f"{tmp_path}/file/artifacts"}
    home = {name: value for name, value in served.environment.items() if name not in NO_KEYS}
    project = Project(served.root, home | {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"})
    for name, place in places.items():
        client.create_experiment(name, place)
        project.change("tracking", "experiment", name)

        result = project.fashion("step", "train", code=7)

        assert "epoch 1/" not in result.stdout
        assert f"artifacts cannot be kept in {place}" in result.stderr
        assert "Traceback" not in result.stderr
        assert "--serve-artifacts" in result.stderr
        (run,) = runs(client, name)
        assert run.info.status == "FAILED"


def test_a_folder_of_the_servers_own_disk_is_told_apart_from_one_that_both_see(tmp_path: Path):
    """The server has another disk at that place, as one on another machine has."""
    place = tmp_path / "artifacts"
    place.mkdir()
    elsewhere = ("unshare", "--mount", "sh", "-c", f"mount -t tmpfs none '{place}' && exec \"$@\"", "sh")
    if subprocess.run([*elsewhere, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount anything")
    with serving(tmp_path, wrapper=elsewhere) as server:
        client = MlflowClient(server.url)
        apart, shared = (
            client.create_run(client.create_experiment(name, str(folder)))
            for name, folder in (("apart", place), ("shared", tmp_path / "shared"))
        )

        check_artifacts(server.url, shared)
        with pytest.raises(TrackingError, match="a folder of the server's own disk") as refused:
            check_artifacts(server.url, apart)

    assert "--serve-artifacts" in refused.value.hint
    assert [path for path in place.rglob("*") if path.is_file()] == []


def test_a_fault_while_recording_does_not_throw_the_trained_model_away(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    project = Places(without_store(trained, tmp_path / "project").root)
    monkeypatch.chdir(project.root)
    made = trained.json("outputs/train/training.json")
    monkeypatch.setattr(steps, "train", lambda **_: made)
    seen: list[str] = []

    def fail(*_: Any, **__: Any) -> None:
        seen.append("asked")
        raise NoCredentialsError

    monkeypatch.setattr("pipeline.tracking.recording.MlflowClient.log_artifact", fail)
    line = steps.run_step("train", project, project.params())

    assert made["weights_digest"][:12] in line
    assert seen
    with pytest.raises(TrackingError, match="Unable to locate credentials"):
        steps.run_step("gate", project, project.params())


def test_a_deleted_run_of_the_same_content_is_restored(
    served: Project, client: MlflowClient, mlflow_server: Server
):
    (before,) = runs(client)
    client.delete_run(before.info.run_id)

    with set_environment({"MLFLOW_TRACKING_URI": mlflow_server.url}):
        project = Places(served.root)
        steps.run_step("register", project, project.params())

    (after,) = runs(client)
    assert after.info.run_id == before.info.run_id == client.get_model_version(MODEL, "1").run_id


def test_a_version_whose_model_lies_in_the_experiment_default_stays_the_one_of_its_weights(
    served: Project, client: MlflowClient, mlflow_server: Server, tmp_path: Path
):
    """That is where registration put it once."""
    first = client.get_model_version(MODEL, "1")
    uri = client.get_model_version_download_uri(MODEL, "1")
    copy = download_artifacts(uri, dst_path=str(tmp_path / "copy"), tracking_uri=client.tracking_uri)
    model = client.create_logged_model("0", name="model")
    client.log_model_artifacts(model.model_id, copy)
    client.finalize_logged_model(model.model_id, "READY")
    client.delete_model_version(MODEL, "1")
    old = client.create_model_version(
        MODEL, f"models:/{model.model_id}", first.run_id, first.tags, model_id=model.model_id
    )

    with set_environment({"MLFLOW_TRACKING_URI": mlflow_server.url}):
        project = Places(served.root)
        steps.run_step("register", project, project.params())

    assert versions(client) == [int(old.version)]
    assert client.get_registered_model(MODEL).aliases == {"champion": old.version}


def test_whoever_only_looks_writes_nothing(served: Project, client: MlflowClient, mlflow_server: Server):
    """Neither is a deleted experiment restored, nor one made, nor is a tag set."""
    experiment = client.get_experiment_by_name(MODEL)
    client.delete_experiment_tag(experiment.experiment_id, "mlflow.experimentKind")
    shown = served.fashion("summary").stdout
    assert f"experiments/{experiment.experiment_id}?workflowType=machine_learning" in shown
    client.delete_experiment(experiment.experiment_id)
    assert "lacks this model" in served.fashion("summary").stdout
    after = client.get_experiment(experiment.experiment_id)
    assert (after.lifecycle_stage, after.tags) == ("deleted", {})

    with set_environment({"MLFLOW_TRACKING_URI": mlflow_server.url}):
        assert Tracker(served.root, "nowhere", read_only=True).experiment_id == ""
        assert client.get_experiment_by_name("nowhere") is None
        description = served.json("outputs/train/training.json")
        with Tracker(served.root, MODEL).training(description):
            pass

    assert "mlflow.experimentKind" in client.get_experiment(experiment.experiment_id).tags
