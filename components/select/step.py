"""Selection of the best of several trained models. The test set has no say in it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.errors import PipelineError
from components.common.files import read_json, staged


def select(trained: Sequence[Path], out: Path) -> dict[str, Any]:
    """Copies the best model's folder.

    Args:
        trained: Folders of the train step.
        out: Folder that receives the files of the one with the highest validation accuracy; among
            equals of the one with the lowest validation loss, then of the first digest in the alphabet.

    Returns:
        What the best one's `training.json` holds.

    Raises:
        PipelineError: There is none, or one is of other data than the others.
    """
    if not trained:
        raise PipelineError("there is no model to select from", "give the sweep at least one candidate")
    trainings = [(read_json(folder / "training.json", "train"), folder) for folder in trained]
    if len({training["data_version"] for training, _ in trainings}) > 1:
        raise PipelineError("the models are of different data", "train them in one sweep")
    best, folder = min(
        trainings,
        key=lambda item: (
            -item[0]["validation"]["accuracy"],
            item[0]["validation"]["loss"],
            item[0]["weights_digest"],
        ),
    )
    with staged(out) as stage:
        shutil.copytree(folder, stage, dirs_exist_ok=True)
    return dict(best)
