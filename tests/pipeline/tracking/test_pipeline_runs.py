"""MLflow runs that the pods of a pipeline run share: made by the platform, failed, or chosen."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.common.errors import PipelineError
from pipeline.params import load
from pipeline.project import Project as ProjectPaths
from pipeline.steps import run_step
from pipeline.tracking.runs import Tracker
from tests.support.mlflow_server import runs
from tests.support.project import MODEL, Project


def test_a_run_that_the_platform_made_becomes_the_run_of_the_model(
    served: Project, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    experiment = client.create_experiment("of the platform")
    injected = client.create_run(experiment).info.run_id
    other = client.create_run(experiment).info.run_id
    training = served.json("outputs/train/training.json")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])

    for given in (injected, other):  # the platform makes one for every step
        monkeypatch.setenv("MLFLOW_RUN_ID", given)
        with Tracker(tmp_path, MODEL).training(training):
            pass

    assert client.get_run(injected).data.tags["run_key"] == training["run_key"]
    assert client.get_run(injected).data.params["train.epochs"] == "2"
    assert "run_key" not in client.get_run(other).data.tags
    assert len(runs(client, "of the platform")) == 2


def test_a_run_that_has_failed_is_whole_again_when_its_content_runs_to_the_end(
    served: Project, client: MlflowClient
):
    client.set_terminated(runs(client)[0].info.run_id, "FAILED")

    served.fashion("step", "register")

    assert [run.info.status for run in runs(client)] == ["FINISHED"]


@pytest.mark.parametrize(
    ("step", "lacks"), [("evaluate", "train/model.keras"), ("gate", "evaluate/evaluation.json")]
)
def test_what_a_pipeline_run_evaluates_and_judges_is_its_choice(
    state: str, served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, step: str, lacks: str
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    monkeypatch.chdir(served.root)
    (served.root / "outputs" / lacks).unlink()
    project = ProjectPaths(served.root)
    with pytest.raises(PipelineError):
        run_step(step, project, load(served.root / "params.yaml"))

    assert runs(client)[0].data.tags["kubeflow_run.run-1"] == "chosen"
