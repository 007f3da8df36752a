"""The last trained model in the registry of a real MLflow server."""

import json

import pytest
from mlflow import MlflowClient

from components.registry.history import Entry
from components.registry.registry import Registry
from pipeline.project import Project as ProjectPaths
from pipeline.registry.versions import last_model
from pipeline.tracking.runs import Tracker
from tests.support.project import MODEL, Project

pytestmark = pytest.mark.usefixtures("restored_environment")


def test_last_model(served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    project, tracker = ProjectPaths(served.root), Tracker(served.root, MODEL, read_only=True)
    champion = ("fashion-mnist version 1, champion", "models:/fashion-mnist/1")

    assert last_model(project, tracker, MODEL) == champion
    client.delete_registered_model_alias(MODEL, "champion")
    assert last_model(project, tracker, MODEL) is None
    registry = Registry(client, MODEL)
    registry.reconcile()
    assert last_model(project, tracker, MODEL) == champion
    digest = client.get_model_version(MODEL, "1").tags["weights_digest"]
    head = registry.read().state.head
    registry.add(Entry(head, 0, "", 1, "rollback", "it fails", "a test", 1, digest))
    registry.reconcile()
    assert last_model(project, tracker, MODEL) == (
        "fashion-mnist version 1, without an alias",
        "models:/fashion-mnist/1",
    )

    gate = served.root / "outputs" / "gate" / "gate.json"
    gate.write_text(json.dumps(json.loads(gate.read_text()) | {"verdict": "rejected"}))
    assert last_model(project, tracker, MODEL) == ("not registered", "")
    client.delete_experiment(tracker.experiment_id)
    assert last_model(project, tracker, MODEL) is None
