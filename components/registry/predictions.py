"""The classes that a registered version predicts for a test set: kept with the version, or measured now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from components.common import idx
from components.common.errors import PipelineError, first_line
from components.common.files import data_version, read_json, write_json
from components.common.saved_model import load_model, predict
from components.common.tensorflow import import_tensorflow
from components.registry.registry import FILE_TAG, WEIGHTS_TAG, weights_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

    from components.common.idx import Bytes

MODEL_FILE = "data/model.keras"
"""Of the artifacts of a logged model."""
FOLDER = "predictions"
"""Of the artifacts of a logged model: a file for each data version."""


def predicted_by(
    client: MlflowClient, version: ModelVersion, data: Path, classes: Sequence[str], batch_size: int
) -> Bytes:
    """The classes that a version predicts for the test images, uint8 `(n,)`.

    What is kept with the version is used if it is of the version's weights and of this data. Otherwise the
    model is loaded and measured, and the result is kept.

    Args:
        client: Client of the server; the tracking URI is set already.
        version: The version.
        data: Folder of the four IDX files.
        classes: Class names.
        batch_size: Images per prediction.

    Raises:
        PipelineError: The model's file cannot be had, is damaged or of other weights.
    """
    digest, of_data = weights_of(version), data_version(data)
    images, labels = idx.read_split(data, "test", len(classes))
    with TemporaryDirectory() as folder:
        kept = _kept(client, version, of_data, Path(folder))
        if kept is not None and len(kept) == len(labels):
            return kept
        import_tensorflow()
        model = load_model(fetch_model(client, version, Path(folder)), digest, version.tags.get(FILE_TAG))
        measured: Bytes = predict(model, images, batch_size).argmax(axis=1).astype(np.uint8)
    try:
        keep_predictions(client, version, of_data, measured)
    except Exception as error:  # this user may not write there: then it is measured each time
        print(f"the predictions of version {version.version} are not kept: {first_line(error)}")
    return measured


def keep_predictions(client: MlflowClient, version: ModelVersion, of_data: str, predicted: Bytes) -> None:
    """Keeps the predictions of a version for the test images of a data version among its artifacts."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{of_data}.json"
        content = {
            "weights_digest": version.tags[WEIGHTS_TAG],
            "data_version": of_data,
            "predicted": predicted.tolist(),
        }
        write_json(path, content)
        artifacts(client, version).log_artifact(str(path), FOLDER)


def fetch_model(client: MlflowClient, version: ModelVersion, folder: Path) -> Path:
    """Downloads the `.keras` file of a version into a folder.

    Raises:
        PipelineError: It cannot be had.
    """
    try:
        return Path(artifacts(client, version).download_artifacts(MODEL_FILE, str(folder)))
    except Exception as error:  # each kind of artifact store has errors of its own
        reason = " ".join(str(error).split())[:300]
        raise PipelineError(
            f"the model file of version {version.version} cannot be had: {reason}",
            "`fashion models` lists the versions; `fashion promote` makes another one champion",
        ) from error


def has_files(client: MlflowClient, version: ModelVersion) -> bool:
    """Whether the model file of a version still exists.

    Raises:
        MlflowException: The server does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        files = artifacts(client, version).list_artifacts("data") or ()
        return MODEL_FILE in [file.path for file in files]
    except FileNotFoundError:
        return False
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise  # an error of the server does not mean that the files are lost
        return False


def artifacts(client: MlflowClient, version: ModelVersion) -> ArtifactRepository:
    """The artifacts of a version."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    uri = client.get_model_version_download_uri(version.name, version.version)
    return get_artifact_repository(uri, tracking_uri=client.tracking_uri)


def _kept(client: MlflowClient, version: ModelVersion, of_data: str, folder: Path) -> Bytes | None:
    """The predictions that are kept, if they are of the version's weights and of this data."""
    repository, name = artifacts(client, version), f"{FOLDER}/{of_data}.json"
    if name not in [file.path for file in repository.list_artifacts(FOLDER) or ()]:
        return None
    content = read_json(Path(repository.download_artifacts(name, str(folder))), "register")
    if content["weights_digest"] != version.tags[WEIGHTS_TAG] or content["data_version"] != of_data:
        return None
    return np.array(content["predicted"], np.uint8)
