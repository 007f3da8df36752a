"""The commands of the model registry, and a server that asks who one is."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.server.auth.client import AuthServiceClient

from components.register.promotion import promote
from components.registry.registry import Registry
from tests.support.mlflow_server import serving
from tests.support.project import MODEL, Project
from tests.support.registry import add_version, aliases, predictions

PASSWORD = "correct horse battery"


def test_people_look_at_the_registry_and_decide(served: Project, client: MlflowClient):
    (version,) = json.loads(served.fashion("models", "--json").stdout)
    evaluation = served.json("outputs/evaluate/evaluation.json")
    assert version["aliases"] == ["champion"]
    assert version["accuracy"] == evaluation["metrics"]["accuracy"]
    assert version["data_version"] == evaluation["data_version"]
    assert version["commit"] == served.git("rev-parse", "HEAD").strip()
    shown = served.fashion("models").stdout
    assert f"{version['accuracy']:.2%} ({version['accuracy_lower']:.2%} to" in shown

    client.delete_registered_model_alias(MODEL, "champion")
    assert "champion: version 1, it was not set" in served.fashion("models", "reconcile").stdout
    assert aliases(client, MODEL) == {"champion": 1}

    assert "no champion before version 1" in served.fashion("rollback", "--reason", "x", code=1).stderr
    assert "--reason" in served.fashion("promote", "1", code=2).stderr

    client.delete_model_version(MODEL, "1")
    (entry,) = json.loads(served.fashion("models", "history", "--json").stdout)
    assert (entry["from"], entry["to"], entry["action"]) == (None, 1, "register")
    assert "no versions" in served.fashion("models").stdout


@pytest.fixture
def guarded(
    tmp_path: Path, restored_environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[AuthServiceClient]:
    """A server that asks for a name; this process is its administrator, others may read."""
    settings, folder = tmp_path / "auth.ini", tmp_path / "server"
    folder.mkdir()
    settings.write_text(
        "[mlflow]\ndefault_permission = READ\nadmin_username = admin\n"
        f"admin_password = {PASSWORD}\ndatabase_uri = sqlite:///{tmp_path}/auth.db\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environment = {"MLFLOW_AUTH_CONFIG_PATH": str(settings), "MLFLOW_FLASK_SERVER_SECRET_KEY": "given"}
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    with serving(folder, environment=environment, options=["--app-name", "basic-auth"]) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        mlflow.set_tracking_uri(server.url)
        yield AuthServiceClient(server.url)


@pytest.mark.slow
def test_who_may_register_need_not_be_who_promotes(
    guarded: AuthServiceClient, project: Project, subset: Path, monkeypatch: pytest.MonkeyPatch
):
    registry = Registry(MlflowClient(guarded.tracking_uri), MODEL)
    predicted = predictions(subset, wrong=[])
    first, second = (add_version(registry, subset, predicted, digest) for digest in ("a", "b"))
    promote(registry, first, no_comparison, "the first", "admin")
    registry.reconcile()
    for name in ("TRACKING_URI", "TRACKING_USERNAME", "TRACKING_PASSWORD"):
        project.environment[f"MLFLOW_{name}"] = os.environ[f"MLFLOW_{name}"]
    guarded.create_user("trainer", PASSWORD)
    guarded.grant_user_permission("trainer", "registered_model", MODEL, "EDIT")
    guarded.create_user("reader", PASSWORD)

    project.environment["MLFLOW_TRACKING_USERNAME"] = "reader"
    assert len(json.loads(project.fashion("models", "--json").stdout)) == 2
    refused = project.fashion("promote", "2", "--reason", "why not", code=7).stderr.splitlines()
    assert refused[0] == "error: the MLflow server does not permit this user to do that"
    assert refused[1].startswith("what to do: ask its administrator for the permission EDIT")
    assert len(refused) == 2

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "trainer")
    _, reason = promote(registry, second, no_comparison, "", "trainer")
    assert f"trainer may not write to {MODEL}.history" in reason
    assert registry.reconcile().aliases == {"champion": 1, "challenger": 2}


def no_comparison(_: ModelVersion) -> tuple[dict[str, bool], str]:
    return {"beats": True}, "better"
