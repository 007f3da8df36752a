"""The registry: versions, aliases and what is written to them, on a real MLflow server."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from components.register import step as register
from pipeline.project import Project as ProjectPaths
from pipeline.steps import candidate_of
from pipeline.tracking.store import open_store
from tests.support.mlflow_server import runs, versions
from tests.support.project import MODEL, Project


def test_the_version_says_where_it_comes_from(served: Project, client: MlflowClient):
    champion = client.get_model_version_by_alias(MODEL, "champion")
    (run,) = runs(client)

    assert champion.version == "1"
    assert champion.run_id == run.info.run_id
    training = served.json("outputs/train/training.json")
    expected = {
        "data_version": training["data_version"],
        "weights_digest": training["weights_digest"],
        "mlflow.source.git.commit": served.git("rev-parse", "HEAD").strip(),
        "git.dirty": "false",
        "gate": "passed",
    }
    assert expected.items() <= champion.tags.items()
    assert served.json("mlruns/registration-outcome.json")["alias"] == "champion"


def test_the_same_weights_are_one_version_and_one_run_however_often_they_come(
    served: Project, client: MlflowClient
):
    for name in ("evaluate", "gate", "register", "register"):
        served.fashion("step", name)

    assert versions(client) == [1]
    assert len(runs(client)) == 1
    history = client.get_metric_history(runs(client)[0].info.run_id, "val_accuracy")
    assert [point.step for point in history] == [1, 2]


def test_a_rejected_model_is_not_registered_and_its_run_says_so(served: Project, client: MlflowClient):
    served.change("train", "seed", 5)
    served.change("gate", "accuracy_min", 0.999)

    assert served.reproduce() == ["train", "evaluate", "gate", "register"]

    assert versions(client) == [1]
    assert served.json("mlruns/registration.json")["registered"] is False
    assert {run.data.params["train.seed"]: run.data.tags["gate"] for run in runs(client)} == {
        "1": "passed",
        "5": "rejected",
    }


@pytest.mark.slow
def test_a_registry_that_lost_the_version_is_filled_again_by_fashion_run(
    served: Project, client: MlflowClient
):
    client.delete_registered_model(MODEL)
    client.delete_run(runs(client)[0].info.run_id)

    served.fashion("run")

    assert client.get_registered_model(MODEL).aliases == {"champion": "1"}
    (run,) = runs(client)
    assert "test_accuracy" in run.data.metrics


def test_a_stricter_gate_is_written_to_the_version_it_would_reject(served: Project, client: MlflowClient):
    served.change("gate", "accuracy_min", 0.999)

    assert served.reproduce() == ["gate", "register"]

    assert client.get_model_version(MODEL, "1").tags["gate"] == "rejected"
    assert (
        "it is version 1 since an earlier gate" in served.json("mlruns/registration-outcome.json")["reason"]
    )


def test_a_version_of_the_same_weights_that_is_made_meanwhile_stays_the_only_one(
    served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    open_store(served.root)
    (first,) = client.search_model_versions(f"name = '{MODEL}'")
    client.delete_model_version(MODEL, first.version)

    def log_model(*_: Any) -> tuple[str, str]:  # while it is logged, somebody else makes the version
        model = first.source.removeprefix("models:/")
        client.create_model_version(MODEL, first.source, first.run_id, tags=first.tags, model_id=model)
        return first.source, model

    monkeypatch.setattr(register, "log_model", log_model)
    outputs = served.root / "outputs"

    paths = ProjectPaths(served.root)
    result = register.register(
        candidate=candidate_of(paths, paths.params()),
        validated=outputs / "validate",
        gated=outputs / "gate",
        out=tmp_path / "registration.json",
        model_name=MODEL,
        params=paths.params().gate,
        card=paths.params().card,
        run_id=first.run_id,
        by="a test",
    )

    assert versions(client) == [result.version]
