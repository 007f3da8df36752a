"""The end of a batch: its summary, the trend of its pictures as a report, and no files of earlier batches."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.errors import DataError, PipelineError, counted
from components.common.files import replacing
from components.common.report import data_uri, render
from components.predict.batch import SUCCESS, Plan
from components.predict.table import read_columns
from components.predict.trend import class_trend, shown_class, write_trend

if TYPE_CHECKING:
    from components.common.storage import Storage

OURS = re.compile(r"(part-\d{5}|_pictures)-[0-9a-f]{16}\.parquet")
"""Files of a batch. Those of an earlier batch are removed; others at the same place are somebody else's."""


def finish_batch(
    plan: Plan,
    target: Storage,
    parts: Sequence[str],
    classes: Sequence[str],
    not_sure_below: float,
    html: Path,
) -> str:
    """Counts the predictions, writes report and trend, removes earlier batches' files, writes the summary.

    Args:
        plan: The plan of the batch.
        target: Where the files are.
        parts: Their names.
        classes: All classes.
        not_sure_below: In the trend, a prediction with a smaller probability counts as "not sure".
        html: The file that receives the report.

    Returns:
        The result in a line.

    Raises:
        PipelineError: A file is missing, or pictures are.
        DataError: No picture can be read.
    """
    counts: Counter[str] = Counter()
    trend = class_trend(_classes(target, parts, counts, not_sure_below), classes)
    if counts.total() != plan.pictures:
        raise PipelineError(
            f"the files have {counts.total():,} of {plan.pictures:,} pictures", "start the batch again"
        )
    unreadable = counts[""]
    if unreadable == plan.pictures:
        raise DataError(
            f"none of {counted(plan.pictures, 'picture')} can be read",
            f"the column `error` of {target.place(parts[0])} says why",
        )
    with TemporaryDirectory() as folder:
        write_trend(trend, Path(folder))
        for name in ("trend.csv", "trend.png"):
            target.write(f"_{name}", (Path(folder) / name).read_bytes())
        text = render(
            Path(__file__).with_name("report.html.j2"),
            plan=plan,
            unreadable=unreadable,
            parts=parts,
            place=target.place(""),
            trend=trend,
            picture=data_uri((Path(folder) / "trend.png").read_bytes()),
        )
    with replacing(html) as partial:
        partial.write_text(text, encoding="utf-8")
    summary = {
        "plan": asdict(plan),
        "unreadable": unreadable,
        "classes": {name: counts[name] for name in classes},
        "parts": list(parts),
    }
    for name in target.names():
        if OURS.fullmatch(name) and name not in (*parts, plan.listing):
            target.remove(name)
    target.write(SUCCESS, json.dumps(summary, indent=2).encode())
    return (
        f"{counted(plan.pictures, 'picture')}, {unreadable:,} unreadable, by version {plan.version}: "
        f"{target.place(SUCCESS)}"
    )


def _classes(
    target: Storage, parts: Sequence[str], counts: Counter[str], not_sure_below: float
) -> Iterator[tuple[str, date | None]]:
    """Class, or `NOT_SURE`, and day of each picture that can be read; counts all, the others as ""."""
    for name in parts:
        content = target.read(name)
        if content is None:
            raise PipelineError(f"{target.place(name)} is missing", "start the batch again")
        for row in read_columns(content, "class", "probability", "taken"):
            counts[row["class"] or ""] += 1
            if row["class"]:
                yield shown_class(row["class"], row["probability"], not_sure_below), row["taken"]
