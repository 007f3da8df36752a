"""The steps with their records in MLflow."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from components.common.errors import TrackingError
from pipeline import steps
from pipeline.project import Project as ProjectPaths
from tests.support.mlflow_server import Server, versions
from tests.support.project import MODEL, Project, without_store
from tests.support.s3_server import set_environment

pytestmark = pytest.mark.usefixtures("restored_environment")


def test_a_fault_while_recording_does_not_throw_the_trained_model_away(
    trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    project = ProjectPaths(without_store(trained, tmp_path / "project").root)
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
        project = ProjectPaths(served.root)
        steps.run_step("register", project, project.params())

    assert versions(client) == [int(old.version)]
    assert client.get_registered_model(MODEL).aliases == {"champion": old.version}
