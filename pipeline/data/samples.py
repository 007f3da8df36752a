"""Pictures of the data: samples, and class counts."""

from pathlib import Path

import numpy as np

from components.common import idx
from components.common.files import staged
from components.common.params import DataParams
from components.common.report import class_sheet, figure, image_grid, png


def draw_samples(data: Path, out: Path, params: DataParams) -> list[tuple[str, int, int]]:
    """Writes `samples.png` (3x3), `per_class.png` and `class_counts.png` to `out`.

    Returns:
        The name, the number of train images and the number of test images of each class.

    Raises:
        DataError: A file is missing or damaged, or has a label without a class.
    """
    images, labels = idx.read_split(data, "train", len(params.classes))
    _, test_labels = idx.read_split(data, "test", len(params.classes))
    names = params.classes
    counts = [np.bincount(split, minlength=len(names)).tolist() for split in (labels, test_labels)]
    with staged(out) as stage:
        grid = image_grid(images[:9], [names[label] for label in labels[:9]], columns=3)
        (stage / "samples.png").write_bytes(grid)
        (stage / "per_class.png").write_bytes(class_sheet(images, labels, names))
        (stage / "class_counts.png").write_bytes(_bars(names, counts))
    return list(zip(names, *counts, strict=True))


def _bars(names: list[str], counts: list[list[int]]) -> bytes:
    drawing = figure(6, 0.3 * len(names) + 1)
    axes = drawing.add_subplot()
    places = np.arange(len(names))
    for offset, split, values in zip((-0.2, 0.2), ("train", "test"), counts, strict=True):
        bars = axes.barh(places + offset, values, height=0.4, label=split)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=7)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlabel("images")
    axes.margins(x=0.12)
    drawing.legend(loc="outside upper center", ncols=2, frameon=False)
    return png(drawing)
