"""The status of a step in the state storage."""

from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus, read_statuses


def test_candidates_of_a_sweep_have_a_status_each(state: str):
    for candidate in ("train.learning_rate=1e-3", "train.learning_rate=1e+3"):
        StatusStore().write(StepStatus(f"train {candidate}", 0.0))

    assert len(read_statuses(state, "run-1")) == 2


def test_statuses_are_in_the_order_in_which_the_steps_started(state: str):
    for started, step in enumerate(("validate", "ingest", "gate")):
        StatusStore().write(StepStatus(step, float(started)))

    assert list(read_statuses(state, "run-1")) == ["validate", "ingest", "gate"]
    assert read_statuses(state, "run-2") == {}


def test_a_status_is_written_again_at_the_end_with_the_duration(state: str):
    status = StepStatus("gate", 0.0)
    store = StatusStore()
    store.write(status)
    assert store.read("gate") == status

    store.close(status, state="failed", error="wrong", final=True)

    last = store.read("gate")
    assert last is not None
    assert (last.state, last.error, last.final, last.seconds > 0) == ("failed", "wrong", True, True)
    assert store.read("train") is None


def test_a_status_that_cannot_be_written_is_no_error(
    state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "state").write_text("a file where a folder should be")

    StatusStore().write(StepStatus("gate", 0.0))

    assert "the status of this step is not stored" in capsys.readouterr().out


def test_both_missing_settings_are_named(monkeypatch: pytest.MonkeyPatch):
    for name in ("FASHION_STATE_URL", "FASHION_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PipelineError, match="FASHION_STATE_URL and FASHION_RUN_ID"):
        StatusStore()
