"""How `fashion` ends: the lines that it prints about an error, and its exit code."""

import errno

import click
import pytest

from components.common.errors import ExitCode, TrackingError
from pipeline.cli.main import EXIT_CODES, run_command


def run(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    """The exit code of a command that raises an error."""

    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["fashion"])
    with pytest.raises(SystemExit) as ended:
        run_command(command)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (
            TrackingError("no server", "start it"),
            ExitCode.TRACKING,
            ["error: no server", "what to do: start it"],
        ),
        (TrackingError("no server"), ExitCode.TRACKING, ["error: no server"]),
        (PermissionError(errno.EACCES, "", "/a/b"), ExitCode.STORAGE, ["error: /a/b: permission denied"]),
        (click.ClickException("unknown"), ExitCode.FAILED, ["Error: unknown"]),
        (
            KeyboardInterrupt(),
            ExitCode.INTERRUPTED,
            ["", "interrupted; the same command continues from there"],
        ),
    ],
)
def test_an_error_is_printed_in_lines_and_gives_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    lines: list[str],
):
    assert run(monkeypatch, error) == code
    assert capsys.readouterr().err.splitlines()[: len(lines)] == lines


def test_an_unknown_os_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(OSError, match="unforeseen"):
        run(monkeypatch, OSError("unforeseen"))


def test_help_lists_every_exit_code():
    assert all(f"{code.value} {code.name.lower()}" in EXIT_CODES for code in ExitCode)
