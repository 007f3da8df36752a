"""The predictions of a registered version: kept with it, or measured by its own model."""

import json
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from components.common.errors import PipelineError
from components.common.files import data_version
from components.registry import predictions
from components.registry.predictions import artifacts, has_files, keep_predictions, predicted_by
from components.registry.registry import Registry
from tests.support.mlflow_server import versions
from tests.support.project import MODEL, Project
from tests.support.registry import CLASSES, add_version
from tests.support.registry import predictions as given

pytestmark = pytest.mark.usefixtures("restored_environment")


def test_what_is_kept_with_the_version_is_used(
    registry: Registry, subset: Path, monkeypatch: pytest.MonkeyPatch
):
    version = add_version(registry, subset, given(subset, wrong=[3]), "digest")
    monkeypatch.setattr(predictions, "import_tensorflow", pytest.fail)

    predicted = predicted_by(registry.client, version, subset, CLASSES, 500)

    np.testing.assert_array_equal(predicted, given(subset, wrong=[3]))


def test_what_is_kept_for_other_weights_is_not_used(served: Project, client: MlflowClient, subset: Path):
    version = client.get_model_version(MODEL, "1")
    kept = predicted_by(client, version, subset, CLASSES, 500)
    other = version.tags | {"weights_digest": "other"}
    client.set_model_version_tag(MODEL, "1", "weights_digest", "other")
    keep_predictions(client, client.get_model_version(MODEL, "1"), data_version(subset), 9 - kept)
    client.set_model_version_tag(MODEL, "1", "weights_digest", version.tags["weights_digest"])

    measured = predicted_by(client, version, subset, CLASSES, 500)

    assert other["weights_digest"] == "other"
    np.testing.assert_array_equal(measured, kept)
    accuracy = served.json("outputs/evaluate/metrics.json")["accuracy"]
    assert np.mean(measured == given(subset, wrong=[])) == accuracy


def test_a_model_file_that_was_replaced_is_not_opened(
    served: Project, client: MlflowClient, subset: Path, tmp_path: Path
):
    version = client.get_model_version(MODEL, "1")
    (tmp_path / "model.keras").write_bytes(b"what somebody else put there")
    artifacts(client, version).log_artifact(str(tmp_path / "model.keras"), "data")
    keep_predictions(client, version, data_version(subset), given(subset, wrong=[])[:1])

    with pytest.raises(PipelineError, match=r"has the SHA-256 .*, training wrote"):
        predicted_by(client, version, subset, CLASSES, 500)


def test_the_file_in_the_registry_is_the_one_that_training_made(served: Project, client: MlflowClient):
    assert versions(client) == [1]
    training = served.json("outputs/train/training.json")

    assert client.get_model_version(MODEL, "1").tags["model_sha256"] == training["model_sha256"]


def test_a_version_without_files_has_none(registry: Registry, subset: Path, registry_server: object):
    version = add_version(registry, subset, given(subset, wrong=[]), "digest")
    assert has_files(registry.client, version)

    repository = artifacts(registry.client, version)
    for file in repository.list_artifacts():
        repository.delete_artifacts(file.path)

    assert not has_files(registry.client, version)
    assert json.dumps(version.tags)
