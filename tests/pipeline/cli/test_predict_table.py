"""`fashion predict --to`: the file that a batch writes, of pictures on this machine."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.common import idx
from components.common.errors import ExitCode
from tests.support.pictures import png
from tests.support.project import Project


def test_every_picture_is_in_the_file_with_its_probabilities(trained: Project, subset: Path, tmp_path: Path):
    folder, file = tmp_path / "images", tmp_path / "out" / "predictions.parquet"
    folder.mkdir()
    images, _ = idx.read_split(subset, "test")
    for number, image in enumerate(images[:5]):
        (folder / f"{number}.png").write_bytes(png(image))
    (folder / "3.png").write_bytes(b"no picture")

    ended = trained.fashion("predict", str(folder), "--to", str(file), "--json", code=ExitCode.SKIPPED)

    shown = {row["file"]: row for row in json.loads(ended.stdout)["predictions"]}
    rows = pq.read_table(file).to_pylist()
    assert [row["file"] for row in rows] == [str(folder / f"{number}.png") for number in range(5)]
    assert [bool(row["error"]) for row in rows] == [number == 3 for number in range(5)]
    assert len(shown) == 4
    for row in rows:
        if not row["error"]:
            assert row["class"] == shown[row["file"]]["class"]
            assert row["probability"] == pytest.approx(shown[row["file"]]["probability"])
            assert sum(value for name, value in row.items() if name.startswith("probability_")) == (
                pytest.approx(1)
            )
    assert {(row["model"], row["version"]) for row in rows} == {("fashion-mnist", 1)}
