"""Pictures named by paths, their dates, and rows of predictions."""

import io
import os
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from components.common.errors import DataError
from components.predict.files import Row, find_pictures, read_dates, to_row, write_csv
from components.predict.params import PredictParams
from components.predict.step import Prediction
from components.predict.trend import NOT_SURE
from tests.support.pictures import CLASSES

PARAMS = PredictParams(not_sure_below=0.75, top=2)
DAY = date(2026, 3, 1)


def test_folders_are_searched_in_order_without_hidden_files(tmp_path: Path):
    for name in ("b/2.png", "b/c/1", ".git/x", "b/.DS_Store", "a.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    found = find_pictures([tmp_path, tmp_path / "b" / ".DS_Store", Path("-")])

    assert [source.file for source in found] == [
        *(str(tmp_path / name) for name in ("a.txt", "b/2.png", "b/c/1", "b/.DS_Store")),
        "-",
    ]
    assert found[2].read() == b"b/c/1"


def row_of(prediction: Prediction, file_times: bool = False, best: float = 0.6, **dates: date) -> Row:
    probabilities = np.array([1 - best, best, 0], np.float32)
    given = {name.replace("_", "."): day for name, day in dates.items()}
    return to_row(prediction, probabilities, CLASSES, PARAMS, given, file_times)


def test_the_date_is_the_given_one_else_of_the_camera_else_of_the_file(tmp_path: Path):
    file = tmp_path / "a.png"
    file.touch()
    os.utime(file, (86400, 86400))
    plain, photograph = Prediction(str(file)), Prediction(str(file), taken=DAY)

    assert row_of(photograph, True, a_png=date(2020, 1, 1)).date == date(2020, 1, 1)
    assert row_of(photograph, True).date == DAY
    assert row_of(plain, True).date == date(1970, 1, 2)
    assert row_of(plain).date is row_of(Prediction("-"), True).date is None


def test_below_the_threshold_the_class_is_not_sure():
    assert row_of(Prediction("a"), best=0.75).shown == "Trouser"
    unsure = row_of(Prediction("a"), best=0.74)
    assert (unsure.shown, unsure.best[0][0]) == (NOT_SURE, "Trouser")
    assert unsure.as_json()["sure"] is False


def test_the_rows_as_csv():
    file = io.StringIO(newline="")

    write_csv(file, [Row('a,"b".png', [("Trouser", 0.75), ("Bag", 0.2)], "Trouser", None)])

    header, row = file.getvalue().splitlines()
    assert header == "file,class,probability,class_2,probability_2"
    assert row == '"a,""b"".png",Trouser,0.7500,Bag,0.2000'


def test_dates_of_a_file(tmp_path: Path):
    file = tmp_path / "dates.csv"
    file.write_text("\ufefffile,date,shop\na.png,2026-03-01,x\nb.png,2026-03-02T10:00:00,y\n")

    assert read_dates(file) == {"a.png": DAY, "b.png": date(2026, 3, 2)}


@pytest.mark.parametrize("text", ["file,day\na,2026-03-01\n", "file,date\na,March\n", "file,date\na\n"])
def test_a_file_without_dates_is_refused(text: str, tmp_path: Path):
    (tmp_path / "dates.csv").write_text(text)

    with pytest.raises(DataError, match=r"dates\.csv"):
        read_dates(tmp_path / "dates.csv")
