"""A step in a pod: its status, its exit code, its retries, and the hints of its errors."""

from contextlib import suppress
from pathlib import Path

import pytest

from components.common.errors import MLFLOW_SETTING, DataError, ExitCode, PipelineError, TrackingError
from pipeline.kubeflow.runtime import entrypoint
from pipeline.kubeflow.runtime.entrypoint import status_kept
from pipeline.kubeflow.runtime.environment import LOCAL
from pipeline.kubeflow.runtime.step_parameters import code_version
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus, read_statuses
from pipeline.tracking.server import check_server
from tests.support.ports import free_port


def stored(state: str, step: str) -> StepStatus:
    return read_statuses(state, "run-1")[step]


def test_a_step_stores_its_result(state: str):
    with status_kept("validate", code_version()) as lines:
        assert stored(state, "validate").state == "running"
        lines.append("all is well")

    assert (stored(state, "validate").state, stored(state, "validate").line) == ("done", "all is well")


def test_an_error_stores_its_reason_and_gives_its_exit_code(state: str):
    entrypoint.TERMINATION_LOG.touch()

    with pytest.raises(SystemExit) as end, status_kept("ingest", code_version()):
        raise DataError("a file is missing", "push it")

    assert end.value.code == ExitCode.DATA
    status = stored(state, "ingest")
    assert (status.state, status.error, status.hint, status.final) == (
        "failed",
        "a file is missing",
        "push it",
        True,
    )
    assert entrypoint.TERMINATION_LOG.read_text() == "error: a file is missing\nwhat to do: push it"


def test_another_exception_is_stored_by_name_and_raised(state: str):
    with pytest.raises(ZeroDivisionError), status_kept("gate", code_version()):
        _ = 1 / 0

    assert stored(state, "gate").error == "ZeroDivisionError: division by zero"


def test_other_code_than_was_submitted_is_refused(state: str):
    ran = False
    with pytest.raises(SystemExit), status_kept("train", "0123456789abcdef"):
        ran = True

    assert not ran
    assert "0123456789ab" in stored(state, "train").error


@pytest.mark.parametrize(("error", "retried"), [(DataError("corrupt"), False), (TrackingError("away"), True)])
def test_only_an_error_that_may_pass_is_retried(
    state: str, error: PipelineError, retried: bool, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SystemExit), status_kept("ingest", code_version()):
        raise error
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")
    ran = False

    with suppress(SystemExit), status_kept("ingest", code_version()):
        ran = True

    assert ran == retried
    assert stored(state, "ingest").state == ("done" if retried else "failed")


def test_a_step_that_was_killed_is_retried(state: str, monkeypatch: pytest.MonkeyPatch):
    StatusStore().write(StepStatus("train", 0.0))  # running: it never ended
    monkeypatch.setenv("KFP_RETRY_INDEX", "1")

    with status_kept("train", code_version()):
        pass

    assert stored(state, "train").state == "done"


@pytest.mark.parametrize("name", ["FASHION_STATE_URL", "FASHION_RUN_ID"])
def test_a_pod_without_its_settings_says_which(
    state: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.delenv(name)

    with pytest.raises(SystemExit), status_kept("ingest", code_version()):
        pytest.fail("the step ran")

    assert name in capsys.readouterr().err


def test_a_step_goes_on_where_its_status_cannot_be_stored(state: str, tmp_path: Path):
    (tmp_path / "state").write_text("a file where a folder should be")

    with status_kept("gate", code_version()) as lines:
        lines.append("passed")

    assert lines == ["passed"]


@pytest.mark.parametrize("local", [True, False], ids=["run-local", "pod"])
def test_the_hint_of_an_mlflow_server_that_does_not_answer(
    local: bool, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "namespace").write_text("team\n")
    monkeypatch.setattr(entrypoint, "NAMESPACE", tmp_path / "namespace")
    if local:
        monkeypatch.setenv(LOCAL, "1")
    with pytest.raises(SystemExit), status_kept("train", code_version()):
        check_server(f"http://127.0.0.1:{free_port()}")
    hint = stored(state, "train").hint
    assert ("mlruns/" in hint) == local
    assert (MLFLOW_SETTING in hint) == (not local)
    assert hint.endswith("(in the namespace team)") == (not local)


def test_a_retry_repeats_the_hint_as_it_was(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entrypoint, "NAMESPACE", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("team")
    for index in ("0", "1"):
        monkeypatch.setenv("KFP_RETRY_INDEX", index)
        with pytest.raises(SystemExit), status_kept("train", code_version()):
            raise PipelineError("wrong", "mend it here", "mend the ConfigMap fashion-config")
        assert stored(state, "train").hint == "mend the ConfigMap fashion-config (in the namespace team)"
