"""MLflow's settings in the environment."""

import os

import pytest

from pipeline.tracking.settings import configure_mlflow

pytestmark = pytest.mark.usefixtures("restored_environment")


def test_settings_of_the_environment_are_overridden_kept_or_removed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "other")

    configure_mlflow()

    assert os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] == "false"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert "MLFLOW_EXPERIMENT_NAME" not in os.environ
