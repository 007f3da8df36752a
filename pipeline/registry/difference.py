"""Two versions side by side: metrics, each class, and the test images on which they disagree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common import idx
from components.registry.comparison import compare
from components.registry.predictions import predicted_by

if TYPE_CHECKING:
    from components.common.idx import Bytes
    from components.registry.registry import Registry

PICTURES = 48


def difference(
    registry: Registry, first: int, second: int, data: Path, classes: Sequence[str], batch_size: int
) -> dict[str, Any]:
    """Compares two versions on the test images of a data folder.

    Args:
        registry: The registered model.
        first: Number of a version.
        second: Number of the other one.
        data: Folder of the four IDX files.
        classes: Class names.
        batch_size: Images per prediction where a model must be measured.

    Returns:
        The figures of `compare`, with the first version in the champion's place; `recalls`, per class those
        of both; and `predicted`, the classes that both predict, uint8 `(n,)` each.

    Raises:
        PipelineError: A version is missing, or its file is missing or damaged.
    """
    from pipeline.registry.versions import find_number

    now = registry.read()
    versions = [find_number(now, registry.name, number) for number in (first, second)]
    _, labels = idx.read_split(data, "test", len(classes))
    one, two = (predicted_by(registry.client, version, data, classes, batch_size) for version in versions)
    recalls = {
        name: tuple(float((predicted[labels == i] == i).mean()) for predicted in (one, two))
        for i, name in enumerate(classes)
        if (labels == i).any()
    }
    return {**compare(labels, one, two, classes), "recalls": recalls, "predicted": (one, two)}


def draw_disagreements(
    data: Path, predicted: tuple[Bytes, Bytes], names: tuple[str, str], classes: Sequence[str], path: Path
) -> int:
    """Draws test images on which two versions disagree: first those that only one of them gets right.

    Args:
        data: Folder of the four IDX files.
        predicted: The classes that both predict, uint8 `(n,)`.
        names: What the captions call them.
        classes: Class names.
        path: The PNG to write.

    Returns:
        The number of images on which they disagree; at most 48 are drawn.
    """
    from components.common.files import replacing
    from components.common.report import image_grid

    images, labels = idx.read_split(data, "test", len(classes))
    one, two = predicted
    rows = np.flatnonzero(one != two)
    neither = (one[rows] != labels[rows]) & (two[rows] != labels[rows])
    drawn = rows[np.argsort(neither, kind="stable")][:PICTURES]
    captions = [
        f"{names[0]}: {classes[one[i]]}\n{names[1]}: {classes[two[i]]}\nis {classes[labels[i]]} ({i})"
        for i in drawn
    ]
    with replacing(path) as partial:
        partial.write_bytes(image_grid(images[drawn], captions, columns=8, size=1.3))
    return len(rows)
