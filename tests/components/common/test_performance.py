"""Measured times: of the model that they are asked for, or of none."""

from pathlib import Path

import pytest

from components.common.performance import read_performance, write_performance


def test_times_are_of_one_model(tmp_path: Path):
    write_performance(tmp_path, "digest", {"train_seconds": 1.5})

    assert read_performance(tmp_path, "digest") == {"train_seconds": 1.5}
    assert read_performance(tmp_path, "of another model") == {}


@pytest.mark.parametrize("content", [None, "", "{", "{}"])
def test_a_file_that_is_missing_or_damaged_is_no_error(content: str | None, tmp_path: Path):
    if content is not None:
        (tmp_path / "performance.json").write_text(content)

    assert read_performance(tmp_path, "digest") == {}
