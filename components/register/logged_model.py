"""A logged model of a run in MLflow, which a registered version refers to."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common import idx
from components.common.errors import SUBMIT_ANEW, TrackingError, first_line, redacted
from components.common.files import read_json
from components.common.saved_model import load_model
from components.common.tensorflow import import_tensorflow, tensorflow_requirement

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient


def log_model(client: MlflowClient, trained: Path, digest: str, run_id: str, data: Path) -> tuple[str, str]:
    """Logs a model to its run, in the run's own experiment.

    Args:
        client: Client of the server; the tracking URI is set already.
        trained: Folder of the train step.
        digest: Digest of the weights.
        run_id: The run.
        data: Folder of the four IDX files, of which two images become the model's example.

    Returns:
        The model's URI and id.

    Raises:
        PipelineError: The model's file is missing, or is not the one that training wrote.
        TrackingError: The model cannot be stored.
    """
    import_tensorflow()
    import keras
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    keras.utils.disable_interactive_logging()  # MLflow predicts the example, with a bar
    model = load_model(trained / "model.keras", read_json(trained / "training.json", "train")["model_sha256"])
    _, height, width = model.input_shape
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, height, width))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, model.output_shape[1]))]),
    )
    images, _ = idx.read_split(data, "test")
    run = client.get_run(run_id)
    # Left to itself, `Model.log` would take the experiment that the environment says is the active one.
    logged = client.create_logged_model(
        run.info.experiment_id,
        name="model",
        source_run_id=run_id,
        tags={"weights_digest": digest},
        params=run.data.params,
    )
    try:
        info = Model.log(
            artifact_path=None,
            run_id=run_id,
            model_id=logged.model_id,
            flavor=_KerasFlavor,
            keras_model=model,
            signature=signature,
            input_example=images[:2],
            pip_requirements=[
                tensorflow_requirement(),
                f"keras=={version('keras')}",
                f"numpy=={version('numpy')}",
            ],
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
    """`mlflow.keras`, which in MLflow 3.17 writes the input example into a folder that it makes later."""

    @staticmethod
    def save_model(path: str, keras_model: keras.Model, **options: Any) -> None:
        import mlflow

        Path(path).mkdir(parents=True)
        mlflow.keras.save_model(keras_model, path, **options)
