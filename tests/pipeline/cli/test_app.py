"""`fashion app`: what it checks before it starts; tests/app uses the app."""

import socket
from pathlib import Path

import pytest

from components.common.errors import ExitCode, PipelineError
from pipeline.cli import app
from tests.support.project import Project


def test_without_data_it_says_what_fetches_them(fresh_project: Project):
    for path in (fresh_project.root / "data").iterdir():
        path.unlink()

    error = fresh_project.fashion("app", code=ExitCode.DATA).stderr

    assert "train-images-idx3-ubyte is missing" in error
    assert "what to do: `fashion data`" in error


def test_without_a_champion_it_says_how_to_get_one(fresh_project: Project):
    error = fresh_project.fashion("app", code=ExitCode.FAILED).stderr

    assert error.splitlines()[-2] == "error: fashion-mnist has no champion"
    assert "`make run` registers a model" in error.splitlines()[-1]


def test_the_next_free_port_is_taken_unless_one_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(app, "PORT", port)

        assert port < app.free_port("127.0.0.1", None) < port + app.PORTS_TRIED
        with pytest.raises(PipelineError, match=f"port {port} of 127.0.0.1 cannot be used") as error:
            app.free_port("127.0.0.1", port)
        assert "--port" in error.value.hint


@pytest.mark.parametrize(
    ("host", "reason"), [("192.0.2.1", "Cannot assign requested address"), ("::1", "Address family")]
)
def test_a_host_that_is_not_of_this_machine_is_named_with_the_reason(host: str, reason: str):
    with pytest.raises(PipelineError, match=f"of {host} cannot be used: {reason}") as error:
        app.free_port(host, None)
    assert "--host" in error.value.hint


def test_the_pages_are_where_the_command_looks_for_them():
    assert Path(__file__).parents[3] / "app" / "main.py" == app.PAGES
    assert app.PAGES.is_file()
