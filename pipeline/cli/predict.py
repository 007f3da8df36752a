"""The command `fashion predict`."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import click
from tabulate import tabulate
from tqdm import tqdm

from components.common.errors import ExitCode, PipelineError, SkippedError, counted
from components.common.files import replacing
from components.predict.files import (
    STDIN,
    Row,
    find_pictures,
    match_dates,
    read_dates,
    to_row,
    write_csv,
    write_image,
)
from components.predict.step import Prediction, Source, predict_pictures
from components.predict.table import write_table
from components.predict.trend import Trend, class_trend, write_trend
from pipeline.project import Project, project_root

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class PredictionInterrupted(PipelineError):  # noqa: N818 - not an error
    """The user has interrupted the predictions."""

    exit_code = ExitCode.INTERRUPTED


@click.command()
@click.argument(
    "pictures",
    nargs=-1,
    required=True,
    metavar="IMAGE|FOLDER|-...",
    type=click.Path(exists=True, allow_dash=True, path_type=Path),
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option(
    "--csv",
    "csv_file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write file, class, probability and the runners-up to this file, or to standard output (-).",
)
@click.option(
    "--to",
    "table_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every class's probability, model and version to this Parquet file, as a batch does.",
)
@click.option("--show-input", type=FOLDER, help="Write the image that the network saw of each picture there.")
@click.option("--trend", "trend_folder", type=FOLDER, help="Write trend.csv and trend.png there.")
@click.option(
    "--dates",
    "dates_file",
    type=FILE,
    help="Dates of the pictures: a CSV file with the columns file and date.",
)
@click.option("--file-times", is_flag=True, help="Where a picture has no date, take that of its file.")
@click.option("--version", type=click.IntRange(min=1), help="A version of the model. [default: the champion]")
def predict(
    pictures: tuple[Path, ...],
    as_json: bool,
    csv_file: Path | None,
    table_file: Path | None,
    show_input: Path | None,
    trend_folder: Path | None,
    dates_file: Path | None,
    file_times: bool,
    version: int | None,
) -> None:
    """Says what pictures show: a file, all files below a folder, or - for standard input.

    For a folder, it counts the classes, over time where the pictures have dates (of --dates, else EXIF).
    """
    if as_json and csv_file:
        raise click.UsageError("--json and --csv exclude each other")
    root = project_root()
    params = Project(root).params()
    _refuse_outputs_in(pictures, csv_file, table_file, show_input, trend_folder)
    sources = find_pictures(pictures)
    dates = _dates_of(sources, dates_file) if dates_file else {}
    from pipeline.registry.champion import load_champion
    from pipeline.tracking.experiment import refusals

    with refusals():
        model = load_champion(root, params, version)
    rows: list[Row] = []
    skipped: list[Prediction] = []
    predictions = predict_pictures(model, sources)
    bar = tqdm(predictions, total=len(sources), unit="picture", delay=1, leave=False, disable=None)

    def noted() -> Iterator[Prediction]:
        for number, prediction in enumerate(bar, 1):
            yield prediction
            if prediction.probabilities is None or prediction.image is None:
                skipped.append(prediction)
                continue
            rows.append(
                to_row(prediction, prediction.probabilities, model.classes, params.predict, dates, file_times)
            )
            if show_input:
                name = f"{number:04}-{Path(prediction.file).stem}.png"
                write_image(prediction.image, show_input / name)

    try:
        if table_file:
            write_table(table_file, model, noted())
        else:
            deque(noted(), maxlen=0)
    except KeyboardInterrupt:
        raise PredictionInterrupted("interrupted", "the same command begins anew") from None
    trend = class_trend([(row.shown, row.date) for row in rows], model.classes)
    if trend_folder:
        write_trend(trend, trend_folder)
    if as_json:
        content = {
            "model": model.facts,
            "predictions": [row.as_json() for row in rows],
            "skipped": [{"file": prediction.file, "error": prediction.error} for prediction in skipped],
            "trend": {"periods": trend.periods, "classes": trend.classes, "pictures": trend.counts},
        }
        click.echo(json.dumps(content, indent=2))
    elif csv_file == Path("-"):
        write_csv(sys.stdout, rows)
    else:
        with_trend = bool(trend_folder) or any(path.is_dir() for path in pictures)
        _show([] if table_file and not csv_file else rows, trend if with_trend else None, csv_file)
        click.echo(f"model: {model.description}")
    for prediction in skipped:
        click.echo(f"skipped {prediction.file}: {prediction.error}", err=True)
    if skipped:
        raise SkippedError(
            f"{len(skipped):,} of {counted(len(sources), 'picture')} skipped", "the reasons are printed above"
        )


def _refuse_outputs_in(pictures: tuple[Path, ...], *outputs: Path | None) -> None:
    for output in outputs:
        for path in pictures:
            if output and str(output) != STDIN and output.resolve().is_relative_to(path.resolve()):
                raise click.UsageError(f"{output} is in {path}, and would count as a picture next time")


def _dates_of(sources: list[Source], dates_file: Path) -> dict[str, date]:
    dates = match_dates(read_dates(dates_file), [source.file for source in sources])
    click.echo(f"dates for {len(dates):,} of {counted(len(sources), 'picture')}", err=True)
    return dates


def _show(rows: list[Row], trend: Trend | None, csv_file: Path | None) -> None:
    """Prints the pictures, or writes them into a file, and prints the trend."""
    if csv_file:
        with replacing(csv_file) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            write_csv(file, rows)
    elif rows:
        table = [
            [row.file, row.shown, *(f"{name} {probability:.1%}" for name, probability in row.best)]
            for row in rows
        ]
        headers = [
            "picture",
            "shows",
            *(f"{number}." for number in range(1, len(table[0]) - 1 if table else 1)),
        ]
        click.echo(tabulate(table, headers, disable_numparse=True) + "\n")
    if trend:
        headers, body = trend.table()
        align = ("left", *["right"] * (len(headers) - 1))
        click.echo(tabulate(body, headers, disable_numparse=True, colalign=align) + "\n")
