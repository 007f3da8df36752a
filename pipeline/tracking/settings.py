"""The settings of MLflow, which it reads from environment variables."""

import logging
import os

FIXED = {
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",  # a call that fails raises its error
    "MLFLOW_LOCK_MODEL_DEPENDENCIES": "false",  # a model's requirements are those that we give
    "MLFLOW_TRUNCATE_LONG_VALUES": "true",  # a long parameter is cut, not refused
    "MLFLOW_UV_AUTO_DETECT": "false",  # the working directory need not be the model's project
    # The printed address of a run would have the user's name and password in it.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
DEFAULTS = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A server may offer addresses of its object store that only the server itself can reach.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
IGNORED = ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_ACTIVE_MODEL_ID")
"""The experiment is `tracking.experiment` of params.yaml, and no run or model is the active one."""


def configure_mlflow() -> None:
    """Sets MLflow's variables in the environment; call it before MLflow is imported, which reads some."""
    os.environ.update(FIXED)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    for name in IGNORED:
        os.environ.pop(name, None)
    for name in ("mlflow.pyfunc", "mlflow.store.db.utils", "mlflow.store.model_registry.abstract_store"):
        logging.getLogger(name).setLevel(logging.WARNING)
