"""The experiment and its store: on a real server, embedded, and out of reach."""

import socket
from pathlib import Path

import pytest

from pipeline.tracking.store import store_folder
from tests.support.project import Project


def test_an_unreachable_server_is_said_at_once_and_without_its_password(project: Project):
    with socket.socket() as silent:  # accepts, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = f"http://somebody:secret@127.0.0.1:{silent.getsockname()[1]}"
        for uri in (mute, "http://somebody:secret@127.0.0.1:9"):
            for command in (("step", "train"), ("step", "register"), ("run",)):
                result = project.fashion(*command, code=7, MLFLOW_TRACKING_URI=uri)
                assert "cannot be reached" in result.stderr
                assert "secret" not in result.stdout + result.stderr


def test_a_store_that_mlflow_refuses_is_one_line(project: Project):
    result = project.fashion("step", "gate", code=7, MLFLOW_TRACKING_URI="nosuchscheme://x")

    assert "Traceback" not in result.stderr
    assert "MLFLOW_TRACKING_URI" in result.stderr


@pytest.mark.parametrize("name", ["sqlite:///relative.db", "127.0.0.1:5000", "mysql://a:secret@b/c"])
def test_an_address_of_another_kind_works_or_is_one_line(project: Project, name: str):
    code = 0 if name.startswith("sqlite") else 7
    result = project.fashion("step", "gate", code=code, MLFLOW_TRACKING_URI=name)

    assert "Traceback" not in result.stderr
    assert "secret" not in result.stdout + result.stderr


def test_experiments_of_dvc_share_the_projects_store(tmp_path: Path):
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"

    assert store_folder(copy) == tmp_path / "mlruns"
    assert store_folder(tmp_path) == tmp_path / "mlruns"
