"""Who changes the registry: the server's user, else the system's."""

import getpass

import pytest

from pipeline.tracking.user import user

SERVER = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "FASHION_RUN_ID"):
        monkeypatch.delenv(name, raising=False)


def test_the_user_is_the_one_whom_the_server_knows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ci")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")

    assert user(SERVER) == "ci"
    assert user("sqlite:///mlflow.db") == getpass.getuser()


def test_a_pod_says_which_pipeline_run_it_belongs_to(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FASHION_RUN_ID", "run-1")
    assert user(SERVER) == f"{getpass.getuser()}, Kubeflow run run-1"

    def nameless() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert user(SERVER) == "Kubeflow run run-1"
