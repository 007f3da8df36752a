"""Counts and shares of classes, by periods that fit the dates."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from PIL import Image

from components.predict.trend import ALL, NOT_SURE, UNDATED, class_trend, write_trend

CLASSES = ("Trouser", "Bag")
JANUARY, MARCH = date(2026, 1, 5), date(2026, 3, 1)


def test_counts_and_shares_of_each_month_and_of_pictures_without_date():
    pictures = [("Bag", JANUARY)] * 3 + [("Trouser", JANUARY), ("Bag", MARCH), (NOT_SURE, None)]

    trend = class_trend(pictures, CLASSES)

    assert trend.classes == ("Trouser", "Bag", NOT_SURE)
    assert trend.periods == ("2026-01", "2026-02", "2026-03", UNDATED)
    assert trend.counts == ((1, 3, 0), (0, 0, 0), (0, 1, 0), (0, 0, 1))
    assert trend.shares[0] == (0.25, 0.75, 0)
    assert trend.totals == (1, 4, 1)
    assert trend.table(3) == (
        ["class", "pictures", "share", "2026-02", "2026-03", UNDATED],
        [
            ["Trouser", "1", "16.7%", "-", "0.0%", "0.0%"],
            ["Bag", "4", "66.7%", "-", "100.0%", "0.0%"],
            [NOT_SURE, "1", "16.7%", "-", "0.0%", "100.0%"],
        ],
    )


@pytest.mark.parametrize(
    ("days", "first", "last", "count"),
    [
        (30, "2026-01-05", "2026-02-04", 31),
        (31, "2026-01", "2026-02", 2),
        (700, "2026-01", "2027-12", 24),
        (800, "2026", "2028", 3),
    ],
)
def test_the_periods_fit_the_dates_and_have_no_gaps(days: int, first: str, last: str, count: int):
    trend = class_trend([("Bag", JANUARY), ("Bag", JANUARY + timedelta(days))], CLASSES)

    assert (trend.periods[0], trend.periods[-1], len(trend.periods)) == (first, last, count)
    assert trend.counts == ((0, 1), *[(0, 0)] * (count - 2), (0, 1))


@pytest.mark.parametrize("dates", [[None], [JANUARY, MARCH, None], [JANUARY, None]])
def test_table_and_picture_are_written(dates: list[date | None], tmp_path: Path):
    trend = class_trend([("Bag", day) for day in dates], CLASSES)

    write_trend(trend, tmp_path / "trend")

    lines = (tmp_path / "trend" / "trend.csv").read_text().splitlines()
    assert lines[0] == "period,class,pictures,share"
    assert lines[1:3] == [f"{trend.periods[0]},Trouser,0,0.0000", f"{trend.periods[0]},Bag,1,1.0000"]
    assert len(lines) == 1 + 2 * len(trend.periods)
    with Image.open(tmp_path / "trend" / "trend.png") as picture:
        assert picture.size == (700, 400)


def test_no_pictures():
    trend = class_trend([], CLASSES)

    assert (trend.periods, trend.counts, trend.shares) == ((ALL,), ((0, 0),), ((0, 0),))
