"""The model behind the REST API: it checks the images of a request, and predicts them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.errors import PipelineError
from components.registry.model import LoadedModel, load_version

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from components.common.idx import Bytes, Probabilities
    from components.registry.registry import Registry

BATCH_SIZE = 256
"""Images per call of the network: what a larger request takes in memory does not grow with it."""


def load(registry: Registry, version: ModelVersion) -> LoadedModel:
    """Loads a version without `params.yaml`, which a pod does not have: its classes are kept with it.

    Raises:
        PipelineError: Its model cannot be loaded, or its classes are not kept with it.
    """
    source = str(version.source)  # models:/ID of the logged model; MLflow 3.17 leaves `model_id` empty
    is_logged = source.startswith("models:/m-")
    params = registry.client.get_logged_model(source.rpartition("/")[2]).params if is_logged else {}
    if "data.classes" not in params:
        raise PipelineError(
            f"version {version.version} of {version.name} does not say its classes",
            "take a version that a run registered; `fashion models` lists them",
        )
    return load_version(registry.client, version, json.loads(params["data.classes"]))


class ImageModel:
    """What MLflow's scoring server calls.

    It is given what the request holds, before any conversion. MLflow's own check by the model's signature
    comes after a conversion to uint8, which makes zeros of an image that was scaled to 0 to 1.
    """

    def __init__(self, model: LoadedModel) -> None:
        """Predicts an image, for which the network is compiled: the first request is fast then."""
        from mlflow.models import Model

        self.metadata = Model()
        self.image_size = model.image_size
        self._call = model.predict
        self.predict(np.zeros((1, *self.image_size), int))

    def predict(self, data: Any) -> Probabilities:
        """Probabilities of each class, float32 `(n, classes)`.

        Raises:
            MlflowException: The data are no images, which MLflow answers with status 400; or the network
                failed, which it answers with 500.
        """
        from mlflow.exceptions import MlflowException

        images = self._images(data)
        try:
            parts = [self._call(images[i : i + BATCH_SIZE]) for i in range(0, len(images), BATCH_SIZE)]
            return np.concatenate(parts)
        except Exception as error:  # else MLflow would answer with the traceback
            print(f"{type(error).__name__}: {error}")
            raise MlflowException("the model failed: see the server's log") from None

    def _images(self, data: Any) -> Bytes:
        from mlflow.exceptions import MlflowException

        height, width = self.image_size
        images = data if isinstance(data, np.ndarray) else np.empty(0)
        if images.ndim != 3 or images.shape[1:] != (height, width) or not len(images):
            found = f"an array of shape {images.shape}" if isinstance(data, np.ndarray) else "none"
            wanted = f'{{"inputs": [image, …]}}, each image {height} rows of {width} pixels'
            raise MlflowException.invalid_parameter_value(f"expected {wanted}; found {found}")
        if images.dtype.kind not in "iu" or images.min() < 0 or images.max() > 255:
            raise MlflowException.invalid_parameter_value(
                "each pixel must be a whole number from 0 to 255 (raw, not scaled)"
            )
        return images.astype(np.uint8)
