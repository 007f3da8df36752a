"""A logged model of a run in MLflow, which a registered version refers to."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common import idx
from components.common.errors import SUBMIT_ANEW, TrackingError, first_line, redacted
from components.common.saved_model import check_file
from components.common.tensorflow import tensorflow_requirement

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import Model


def log_model(
    client: MlflowClient,
    trained: Path,
    training: dict[str, Any],
    task: dict[str, Any],
    run_id: str,
    data: Path,
) -> tuple[str, str]:
    """Logs a model to its run, in the run's own experiment.

    Args:
        client: Client of the server; the tracking URI is set already.
        trained: Folder of the train step.
        training: Content of its `training.json`.
        task: `image_size` and `classes` of the model.
        run_id: The run.
        data: Folder of the four IDX files, of which two images become the model's example.

    Returns:
        The model's URI and id.

    Raises:
        PipelineError: The model's file is missing or not the one that training wrote, or TensorFlow is not
            installed.
        TrackingError: The model cannot be stored.
    """
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    file = trained / "model.keras"
    check_file(file, training["model_sha256"])
    requirements = [tensorflow_requirement(), *(f"{name}=={version(name)}" for name in ("keras", "numpy"))]
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, *task["image_size"]))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(task["classes"])))]),
    )
    images, _ = idx.read_split(data, "test")
    run = client.get_run(run_id)
    # Left to itself, `Model.log` would take the experiment that the environment says is the active one.
    logged = client.create_logged_model(
        run.info.experiment_id,
        name="model",
        source_run_id=run_id,
        tags={"weights_digest": training["weights_digest"]},
        params=run.data.params,
    )
    try:
        info = Model.log(
            artifact_path=None,
            run_id=run_id,
            model_id=logged.model_id,
            flavor=_KerasFlavor,
            file=file,
            signature=signature,
            input_example=images[:2],
            validate_serving_input=False,  # it would load the model
            pip_requirements=requirements,
        )
    except Exception as error:  # each kind of artifact store has errors of its own
        raise TrackingError(
            f"the model cannot be kept in {redacted(logged.artifact_location)}: {first_line(error)}",
            "give this machine access to it; or start the server with --serve-artifacts, and name a new "
            "tracking.experiment in params.yaml; then run the same command again",
            f"start the server with --serve-artifacts, as infra/kubernetes does; {SUBMIT_ANEW}",
        ) from error
    return info.model_uri, info.model_id


class _KerasFlavor:
    """Writes what `mlflow.keras` of MLflow 3.17 writes, but the file as it is: Keras's import takes 5 s."""

    @staticmethod
    def save_model(
        path: str,
        mlflow_model: Model,
        file: Path,
        validate_serving_input: bool,  # noqa: ARG004 (meant for `Model.log`, which passes it on)
        **options: Any,
    ) -> None:
        import mlflow

        mlflow_model.add_flavor(
            "keras",
            data="data",
            keras_version=version("keras"),
            keras_backend="tensorflow",
            save_exported_model=False,
        )
        mlflow.pyfunc.save_model(path, "mlflow.keras", mlflow_model=mlflow_model, **options)
        folder = Path(path)
        (folder / "data").mkdir()
        shutil.copyfile(file, folder / "data" / "model.keras")
        mlflow_model.model_size_bytes = file.stat().st_size
        mlflow_model.save(str(folder / "MLmodel"))
