"""The champion of a registry, loaded as every consumer does: from a real server, by history and digests."""

import csv
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from components.common import idx
from components.common.errors import PipelineError
from components.registry.history import Entry
from components.registry.registry import Registry
from pipeline.params import Params, load
from pipeline.registry.champion import load_champion
from tests.support.project import MODEL, Project

pytestmark = pytest.mark.usefixtures("restored_environment")


@pytest.fixture
def params(served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The parameters of the project, whose champion is on the server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    return load(served.root / "params.yaml")


def test_it_predicts_what_the_evaluation_recorded(served: Project, params: Params, subset: Path):
    model = load_champion(served.root, params)

    images, _ = idx.read_split(subset, "test")
    with (served.root / "outputs/evaluate/predictions.csv").open(newline="") as file:
        recorded = [(row["predicted"], float(row["confidence"])) for row in csv.DictReader(file)]
    probabilities = model.network(images).numpy()
    assert [model.classes[number] for number in probabilities.argmax(axis=1)] == [
        name for name, _ in recorded
    ]
    assert probabilities.max(axis=1) == pytest.approx(np.array([share for _, share in recorded]), abs=1e-4)
    assert (model.version.version, model.image_size) == ("1", (28, 28))


def test_the_history_decides_not_the_alias(served: Project, client: MlflowClient, params: Params):
    client.delete_registered_model_alias(MODEL, "champion")
    assert load_champion(served.root, params).version.version == "1"

    registry, digest = Registry(client, MODEL), client.get_model_version(MODEL, "1").tags["weights_digest"]
    registry.add(Entry(registry.read().state.head, 0, "", 1, "rollback", "it fails", "a test", 1, digest))
    client.set_registered_model_alias(MODEL, "champion", "1")
    with pytest.raises(PipelineError, match="has no champion"):
        load_champion(served.root, params)
    assert load_champion(served.root, params, 1).version.version == "1"


def test_a_version_that_does_not_exist_and_one_of_other_classes_are_refused(served: Project, params: Params):
    with pytest.raises(PipelineError, match="has no version 7"):
        load_champion(served.root, params, 7)
    renamed = params.data.model_copy(update={"classes": [*params.data.classes[1:], "Hat"]})
    with pytest.raises(PipelineError, match="has other classes"):
        load_champion(served.root, params.model_copy(update={"data": renamed}))


def test_a_file_of_other_bytes_is_refused_before_keras_reads_it(
    served: Project, client: MlflowClient, params: Params
):
    client.set_model_version_tag(MODEL, "1", "model_sha256", "0" * 64)

    with pytest.raises(PipelineError, match="SHA-256"):
        load_champion(served.root, params)
