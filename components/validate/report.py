"""The validation report: verdict, expectations, class counts, samples and outliers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from components.common import idx
from components.common.report import class_sheet, data_uri, figure, image_grid, png, render

if TYPE_CHECKING:
    from components.common.params import DataParams

OUTLIERS = 24
CAPTION_COLUMNS = ("index", "label", "mean", "z")


def write_report(
    path: Path,
    result: dict[str, Any],
    data: Path,
    params: DataParams,
    images: Mapping[idx.Split, pd.DataFrame],
) -> None:
    """Writes a self-contained HTML page; without `images` (the files are unreadable) it has no pictures."""
    pictures = _pictures(data, params, images) if images else []
    failed = sum(not e["passed"] for e in result["expectations"])
    template = Path(__file__).with_name("report.html.j2")
    path.write_text(render(template, result=result, failed=failed, pictures=pictures), encoding="utf-8")


def _pictures(
    data: Path, params: DataParams, tables: Mapping[idx.Split, pd.DataFrame]
) -> list[tuple[str, str, str]]:
    pixels, labels = idx.read_split(data, "train")
    worst = outliers(tables["train"])
    names = dict(enumerate(params.classes))
    captions = [
        f"{index}: {names.get(label, f'label {label}')}\nmean {mean:.2f}, z {z:.1f}"
        for index, label, mean, z in zip(*(worst[c].tolist() for c in CAPTION_COLUMNS), strict=True)
    ]
    return [
        ("Classes", "Images of each class in each split.", data_uri(_histogram(tables, params))),
        (
            "Samples",
            "The first images of each class in train.",
            data_uri(class_sheet(pixels, labels, params.classes)),
        ),
        (
            "Outliers",
            "The train images farthest from their class in mean, spread and share of non-zero pixels: "
            "z is the largest of the three distances in standard deviations.",
            data_uri(image_grid(pixels[worst["index"]], captions, columns=8, size=1.1)),
        ),
    ]


def outliers(table: pd.DataFrame) -> pd.DataFrame:
    """The rows farthest from the mean of their class, farthest first; `z` is the distance."""
    columns = ["mean", "std", "nonzero_share"]
    groups = table.groupby("label")[columns]
    spread = groups.transform("std").replace(0, np.nan)
    z = ((table[columns] - groups.transform("mean")) / spread).abs().max(axis=1).fillna(0)
    return table.assign(z=z).sort_values(["z", "index"], ascending=[False, True]).head(OUTLIERS)


def _histogram(tables: Mapping[idx.Split, pd.DataFrame], params: DataParams) -> bytes:
    drawing = figure(9, 0.34 * len(params.classes) + 0.8)
    for place, (split, table) in enumerate(tables.items()):
        axes = drawing.add_subplot(1, len(tables), place + 1)
        counts = [int((table["label"] == label).sum()) for label in range(len(params.classes))]
        bars = axes.barh(params.classes, counts, color="#3b7dd8")
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=8, padding=2)
        axes.margins(x=0.15)
        axes.invert_yaxis()
        axes.set_title(split)
        axes.spines[["top", "right"]].set_visible(False)
        if place:
            axes.set_yticklabels([])
    return png(drawing)
