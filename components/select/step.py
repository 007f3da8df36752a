"""Selects the best of several trained models by their validation metrics; the test set is not used."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.errors import PipelineError
from components.common.files import read_json, staged


def select(trained: Sequence[Path], out: Path) -> dict[str, Any]:
    """Copies the best model's folder to `out`.

    The best model has the highest validation accuracy, then the lowest validation loss; the weights digest
    decides between equals.

    Args:
        trained: Output folders of the train step.
        out: The folder to copy to.

    Returns:
        The content of the best model's `training.json`.

    Raises:
        PipelineError: There are no models, or they were trained on different data.
    """
    if not trained:
        raise PipelineError("there is no model to select from", "give the sweep at least one candidate")
    trainings = [(read_json(folder / "training.json", "train"), folder) for folder in trained]
    if len({training["data_version"] for training, _ in trainings}) > 1:
        raise PipelineError("the models are of different data", "train them in one sweep")

    def rank(item: tuple[dict[str, Any], Path]) -> tuple[float, float, str]:
        training = item[0]
        return -training["validation"]["accuracy"], training["validation"]["loss"], training["weights_digest"]

    best, folder = min(trainings, key=rank)
    with staged(out) as stage:
        shutil.copytree(folder, stage, dirs_exist_ok=True)
    return dict(best)
