"""Trains on the subset, without a project."""

from pathlib import Path
from typing import Any

from components.common.files import data_version, write_json
from components.train.step import train
from pipeline.params import Params


class StoppedError(Exception):
    """Stops a training."""


def stop_in_epoch_2(row: dict[str, float]) -> None:
    """Stops a training in epoch 2; used as `on_epoch`."""
    if row["epoch"] == 2:  # the state of this epoch is not yet kept
        raise StoppedError


def run(
    data: Path, out: Path, params: Params, on_epoch: Any = lambda row: None, **changes: Any
) -> dict[str, Any]:
    """Trains on validated data; `changes` are train parameters."""
    validation = out.parent / f"{out.name}-validation.json"
    write_json(validation, {"verdict": "passed", "data_version": data_version(data)})
    return train(
        data=data,
        validation=validation,
        out=out,
        state=str(out.parent / f"{out.name}-state"),
        data_params=params.data,
        model_params=params.model,
        train_params=params.train.model_copy(update=changes),
        on_epoch=on_epoch,
    )
