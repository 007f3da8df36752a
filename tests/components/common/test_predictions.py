"""The predictions of the evaluate step, read again."""

from pathlib import Path

import pytest

from components.common.predictions import read_predictions


def test_classes_become_numbers_in_the_order_of_the_images(tmp_path: Path):
    path = tmp_path / "predictions.csv"
    path.write_text("index,actual,predicted,confidence\n0,Bag,Coat,0.75\n1,Coat,Coat,0.5\n")

    found = read_predictions(path, ["Coat", "Bag"])

    assert found.actual.tolist() == [1, 0]
    assert found.predicted.tolist() == [0, 0]
    assert found.confidence.tolist() == [0.75, 0.5]


def test_a_missing_file_is_for_the_caller_to_explain(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read_predictions(tmp_path / "predictions.csv", ["Coat"])
