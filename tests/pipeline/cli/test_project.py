"""The commands that run the pipeline on this machine."""

from mlflow import MlflowClient

from tests.support.project import MODEL, Project


def test_ui_prints_the_page_of_a_server(served: Project, client: MlflowClient):
    url, experiment = client.tracking_uri, client.get_experiment_by_name(MODEL)
    uri = url.replace("://", "://somebody:secret@")

    printed = served.fashion("ui", MLFLOW_TRACKING_URI=uri).stdout

    assert f"open {url}/#/experiments/{experiment.experiment_id}?workflowType=machine_learning" in printed
    assert "secret" not in printed


def test_run_registers_a_model_again_that_the_store_has_lost(project: Project):
    printed = project.fashion("run").stdout

    assert "the registry does not have the model of dvc.lock: registering it again" in printed
    assert "fashion-mnist version 1, champion" in printed
