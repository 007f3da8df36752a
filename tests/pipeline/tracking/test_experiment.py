"""The experiment and its store: on a real server, embedded, and out of reach."""

import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.common.errors import TrackingError
from pipeline.tracking.runs import Tracker
from tests.support.mlflow_server import Server
from tests.support.project import MODEL, Project
from tests.support.s3_server import set_environment

pytestmark = pytest.mark.usefixtures("restored_environment")


@pytest.mark.parametrize(
    ("answers", "command"),
    [
        ("never", "step train"),
        ("refuses", "step register"),
        ("refuses", "run"),
        pytest.param("never", "step register", marks=pytest.mark.slow),
        pytest.param("never", "run", marks=pytest.mark.slow),
        pytest.param("refuses", "step train", marks=pytest.mark.slow),
    ],
)
def test_an_unreachable_server_is_said_at_once_and_without_its_password(
    project: Project, answers: str, command: str
):
    with socket.socket() as silent:  # accepts, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1] if answers == "never" else 9
        uri = f"http://somebody:secret@127.0.0.1:{port}"
        result = project.fashion(*command.split(), code=7, MLFLOW_TRACKING_URI=uri)

    assert "cannot be reached" in result.stderr
    assert "secret" not in result.stdout + result.stderr


def test_a_store_that_mlflow_refuses_is_one_line(project: Project):
    result = project.fashion("step", "gate", code=7, MLFLOW_TRACKING_URI="nosuchscheme://x")

    assert "Traceback" not in result.stderr
    assert "MLFLOW_TRACKING_URI" in result.stderr


@pytest.mark.parametrize("name", ["sqlite:///relative.db", "127.0.0.1:5000", "mysql://a:secret@b/c"])
def test_an_address_of_another_kind_works_or_is_one_line(project: Project, name: str):
    code = 0 if name.startswith("sqlite") else 7
    result = project.fashion("step", "gate", code=code, MLFLOW_TRACKING_URI=name)

    assert "Traceback" not in result.stderr
    assert "secret" not in result.stdout + result.stderr


def test_a_run_id_of_the_environment_that_is_stale_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "4711")

    with pytest.raises(TrackingError, match="there is no run 4711, which MLFLOW_RUN_ID names"):
        Tracker(tmp_path, MODEL)


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
