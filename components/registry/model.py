"""Loads the model of a registered version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.common.errors import SUBMIT_ANEW, PipelineError
from components.common.files import content_key
from components.common.saved_model import load_model
from components.common.tensorflow import import_tensorflow
from components.registry.predictions import fetch_model
from components.registry.registry import DATA_TAG, FILE_TAG, TASK_TAG, Registry, weights_of

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from components.common.idx import Bytes, Probabilities


@dataclass(frozen=True)
class LoadedModel:
    """A registered version with its network.

    Args:
        version: The version in the registry.
        network: Raw images, uint8 `(n, height, width)`, to probabilities, float32 `(n, classes)`.
        classes: The names of the classes, in the order of the probabilities.
    """

    version: ModelVersion
    network: keras.Model
    classes: tuple[str, ...]

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images."""
        _, height, width = self.network.input_shape
        return height, width

    @property
    def facts(self) -> dict[str, Any]:
        """Which model answers: name, version, test accuracy (None if not measured) and data version."""
        accuracy = self.version.tags.get("test_accuracy")
        return {
            "model": self.version.name,
            "version": int(self.version.version),
            "accuracy": float(accuracy) if accuracy else None,
            "data_version": self.version.tags.get(DATA_TAG),
        }

    @property
    def description(self) -> str:
        """The facts in a line."""
        facts = self.facts
        accuracy = "unknown" if facts["accuracy"] is None else f"{facts['accuracy']:.2%}"
        data = (facts["data_version"] or "unknown")[:8]
        return f"{facts['model']} version {facts['version']}, test accuracy {accuracy}, data {data}"

    @cached_property
    def predict(self) -> Callable[[Bytes], Probabilities]:
        """The network as a function of a batch; TensorFlow compiles it once for all batch sizes."""
        import tensorflow as tf

        compiled = tf.function(
            lambda images: self.network(images, training=False),
            input_signature=[tf.TensorSpec((None, *self.image_size), tf.uint8)],
        )
        return lambda images: compiled(tf.constant(images)).numpy()


def champion_version(registry: Registry) -> ModelVersion:
    """The version that is champion by the history, whatever the alias says.

    Raises:
        PipelineError: No version is champion.
    """
    now = registry.read()
    if now.state.champion is None:
        raise PipelineError(
            f"{registry.name} has no champion",
            "`make run` registers a model; `fashion promote VERSION --reason …` makes one champion",
            "submit a run that passes the gate, or `fashion promote VERSION --reason …`",
        )
    return now.versions[now.state.champion]


def load_version(client: MlflowClient, version: ModelVersion, classes: Sequence[str]) -> LoadedModel:
    """Downloads the model of a version and loads it in Keras's safe mode, its digests checked.

    Args:
        client: Client of the server; the tracking URI is set already.
        version: The version.
        classes: The names of the classes, as in `params.yaml`.

    Raises:
        PipelineError: The file cannot be had, is damaged or of other weights; or it is of other classes.
    """
    digest = weights_of(version)
    with TemporaryDirectory() as folder:
        path = fetch_model(client, version, Path(folder))
        import_tensorflow()
        network = load_model(path, digest, version.tags.get(FILE_TAG))
    model = LoadedModel(version, network, tuple(classes))
    task = {"image_size": list(model.image_size), "classes": list(classes)}
    if version.tags.get(TASK_TAG) != content_key(task):
        raise PipelineError(
            f"version {version.version} of {version.name} has other classes than data.classes",
            "take params.yaml of the commit that the version was trained with (`fashion models`)",
            SUBMIT_ANEW,
        )
    return model
