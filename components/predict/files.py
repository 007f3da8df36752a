"""Pictures in files and folders, and predictions as rows and files."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from components.common.errors import DataError, counted
from components.common.files import replacing
from components.predict.params import PredictParams
from components.predict.picture import MAX_BYTES
from components.predict.step import Prediction, Source, file_source, ranked
from components.predict.trend import NOT_SURE, shown_class

if TYPE_CHECKING:
    from components.common.idx import Bytes, Probabilities

STDIN = "-"


def find_pictures(paths: Iterable[Path]) -> list[Source]:
    """The pictures that a command line names: files, all files below folders, and `-` for standard input.

    Files whose name begins with a dot are left out of folders, as are those in such folders.

    Raises:
        DataError: There is none.
    """
    sources, paths = [], list(paths)
    for path in paths:
        if str(path) == STDIN:
            sources.append(Source(STDIN, lambda: sys.stdin.buffer.read(MAX_BYTES + 1)))
        elif path.is_dir():
            sources += [file_source(file) for file in sorted(path.rglob("*")) if _is_visible_file(file, path)]
        else:
            sources.append(file_source(path))
    if not sources:
        raise DataError(f"no pictures in {', '.join(map(str, paths))}", "name a folder that has some")
    return sources


def _is_visible_file(file: Path, folder: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    return not hidden and file.is_file()


def read_dates(path: Path) -> dict[str, date]:
    """The dates of pictures, from a CSV file with the columns `file` and `date` (as `2026-11-27`).

    Raises:
        DataError: A column is missing, or a date is none.
    """
    hint = "its columns are file (a path as predictions show it, or its end) and date (YYYY-MM-DD)"
    dates = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for column in ("file", "date"):
                if column not in (reader.fieldnames or ()):
                    raise DataError(f"{path} has no column {column!r}", hint)
            for row in reader:
                day = row["date"] or ""
                try:
                    dates[row["file"] or ""] = datetime.fromisoformat(day).date()
                except ValueError:
                    raise DataError(f"{path}, line {reader.line_num}: {day!r} is no date", hint) from None
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: {error}", hint) from None
    return dates


def match_dates(dates: Mapping[str, date], files: Iterable[str]) -> dict[str, date]:
    """The dates of the pictures that given names mean: a picture's whole name, or the end of one path only.

    Raises:
        DataError: None is meant, or a name could mean several.
    """
    files = dict.fromkeys(files)  # each once
    by_name = defaultdict(list)
    for file in files:
        by_name[Path(file).name].append(file)
    found: dict[str, date] = {}
    for name, day in dates.items():
        meant = [file for file in by_name[Path(name).name] if f"/{file}".endswith(f"/{name}")]
        if name in files:
            meant = [name]
        if len(meant) > 1:
            raise DataError(
                f"the date of {name} could be that of {meant[0]} and of {meant[1]}", "give more of the path"
            )
        found |= dict.fromkeys(meant, day)
    if not found:
        raise DataError(
            f"dates for 0 of {counted(len(files), 'picture')}",
            "the column file must have the paths as predictions show them, or their ends",
        )
    return found


@dataclass(frozen=True)
class Row:
    """What is shown of a picture.

    Args:
        file: Its name.
        best: Its most probable classes with their probabilities.
        shown: The first of them, or `NOT_SURE`.
        date: Its date, if it has one.
    """

    file: str
    best: list[tuple[str, float]]
    shown: str
    date: date | None

    def as_json(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "file": self.file,
            "class": self.best[0][0],
            "probability": self.best[0][1],
            "sure": self.shown != NOT_SURE,
            "date": self.date and self.date.isoformat(),
            "top": [{"class": name, "probability": probability} for name, probability in self.best],
        }


def to_row(
    prediction: Prediction,
    probabilities: Probabilities,
    classes: Sequence[str],
    params: PredictParams,
    dates: Mapping[str, date],
    file_times: bool,
) -> Row:
    """What is shown of a picture that was predicted.

    Args:
        prediction: The prediction.
        probabilities: Its probabilities.
        classes: The names of the classes.
        params: How many classes are shown, and from which probability the best one is.
        dates: Given dates, by its name; without one, the EXIF data count.
        file_times: Take the date of the file where there is no other.
    """
    best = ranked(probabilities, classes, params.top)
    day = dates.get(prediction.file) or prediction.taken or (prediction.changed if file_times else None)
    return Row(prediction.file, best, shown_class(*best[0], params.not_sure_below), day)


def write_csv(file: TextIO, rows: Sequence[Row]) -> None:
    """Writes the columns file, class, probability, class_2, probability_2 and so on, sure, date."""
    most = max((len(row.best) for row in rows), default=1)
    numbers = ["", *(f"_{number}" for number in range(2, most + 1))]
    best = [f"{name}{number}" for number in numbers for name in ("class", "probability")]
    writer = csv.writer(file)
    writer.writerow(["file", *best, "sure", "date"])
    for row in rows:
        best = [value for name, probability in row.best for value in (name, f"{probability:.4f}")]
        writer.writerow([row.file, *best, "no" if row.shown == NOT_SURE else "yes", row.date or ""])


def write_image(image: Bytes, path: Path) -> None:
    """Writes what the network saw as a gray PNG.

    Raises:
        StorageError: The disk is full, or the folder cannot be written.
    """
    from PIL import Image

    with replacing(path) as partial:
        Image.fromarray(image).save(partial, "PNG")
