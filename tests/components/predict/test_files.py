"""Pictures named by paths, their dates, and rows of predictions."""

import io
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from components.common.errors import DataError
from components.predict.files import Row, find_pictures, match_dates, read_dates, to_row, write_csv
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


def test_the_date_is_the_given_one_else_of_the_camera_else_of_the_file():
    plain = Prediction("a.png", changed=date(1970, 1, 2))
    photograph = replace(plain, taken=DAY)

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
    best = [("Trouser", 0.75), ("Bag", 0.2)]

    write_csv(file, [Row('a,"b".png', best, "Trouser", None), Row("c", best, NOT_SURE, DAY)])

    assert file.getvalue().splitlines() == [
        "file,class,probability,class_2,probability_2,sure,date",
        '"a,""b"".png",Trouser,0.7500,Bag,0.2000,yes,',
        "c,Trouser,0.7500,Bag,0.2000,no,2026-03-01",
    ]


def test_dates_of_a_file(tmp_path: Path):
    file = tmp_path / "dates.csv"
    file.write_text("\ufefffile,date,shop\na.png,2026-03-01,x\nb.png,2026-03-02T10:00:00,y\n")

    assert read_dates(file) == {"a.png": DAY, "b.png": date(2026, 3, 2)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file,day\na,2026-03-01\n", "no column 'date'"),
        ("file,date\nb,2026-03-01\na,March\n", "line 3: 'March' is no date"),
        ("file,date\na\n", "line 2: '' is no date"),
        ("", "no column 'file'"),
    ],
)
def test_a_file_without_dates_is_refused(text: str, reason: str, tmp_path: Path):
    (tmp_path / "dates.csv").write_text(text)

    with pytest.raises(DataError, match=rf"dates\.csv.*{reason}"):
        read_dates(tmp_path / "dates.csv")


def test_a_date_is_that_of_the_one_picture_that_its_name_means():
    files = ["shop/2025/a.jpg", "shop/2026/a.jpg", "shop/b.jpg", "b.jpg", "shop/xb.png"]

    assert match_dates({"2026/a.jpg": DAY, "b.jpg": DAY, "c.jpg": DAY}, files) == {
        "shop/2026/a.jpg": DAY,
        "b.jpg": DAY,
    }
    with pytest.raises(DataError, match=r"shop/2025/a\.jpg and of shop/2026/a\.jpg"):
        match_dates({"a.jpg": DAY}, files)
    with pytest.raises(DataError, match="dates for 0 of 5 pictures"):
        match_dates({"b.png": DAY}, files)


def test_folders_without_a_picture_are_an_error(tmp_path: Path):
    (tmp_path / ".hidden").touch()

    with pytest.raises(DataError, match=f"no pictures in {tmp_path}"):
        find_pictures([tmp_path])
