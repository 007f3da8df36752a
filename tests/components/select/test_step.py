"""Of several trained models the best by validation is selected."""

from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.common.files import write_json
from components.select.step import select


def test_the_best_by_validation_is_selected(tmp_path: Path):
    figures = {
        "a": (0.90, 0.30, "ff"),
        "b": (0.92, 0.31, "ee"),
        "c": (0.92, 0.29, "dd"),
        "d": (0.92, 0.29, "cc"),
    }
    for name, (accuracy, loss, digest) in figures.items():
        training = {"validation": {"accuracy": accuracy, "loss": loss}, "weights_digest": digest}
        write_json(tmp_path / name / "training.json", training | {"data_version": "1.dir"})
        (tmp_path / name / "model.keras").write_text(name)

    best = select([tmp_path / name for name in figures], tmp_path / "best")

    assert best["weights_digest"] == "cc"
    assert (tmp_path / "best" / "model.keras").read_text() == "d"
    write_json(tmp_path / "a" / "training.json", training | {"data_version": "2.dir"})
    with pytest.raises(PipelineError, match="different data"):
        select([tmp_path / name for name in figures], tmp_path / "best")
    with pytest.raises(PipelineError, match="no model"):
        select([], tmp_path / "best")
