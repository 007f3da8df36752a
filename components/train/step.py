"""Training: from a validated data folder to a saved model."""

from __future__ import annotations

import csv
import resource
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common import idx
from components.common.errors import SUBMIT_ANEW, DataError, TrainingError, ValidationError
from components.common.files import (
    content_key,
    data_version,
    file_digest,
    read_json,
    source_digest,
    staged,
    write_json,
)
from components.common.performance import write_performance
from components.common.tensorflow import import_tensorflow, tensorflow_version
from components.train.fit import exported, fit, hold_out
from components.train.machine import machines_until_the_end, thread_count
from components.train.params import settings_of
from components.train.precision import resolve
from components.train.state import kept_machines
from components.train.zoo import MODELS, shape_of

if TYPE_CHECKING:
    from components.common.params import DataParams
    from components.train.params import ModelParams, TrainParams

HISTORY_COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")

OnEpoch = Callable[[dict[str, float]], None]


def describe_run(
    data: Path,
    data_params: DataParams,
    model_params: ModelParams,
    train_params: TrainParams,
    state: str | None = None,
) -> dict[str, Any]:
    """All inputs that decide the weights, with the key by which the run is found again.

    `run_key` is a digest of the data version, the parameters (with the model's settings and `precision`
    resolved), the training code, the library versions and the kinds of machines; not of time, host or folder.
    `state_key` leaves out the machines: a training may be resumed on another one.

    Args:
        data: Folder of the four IDX files.
        data_params: Shape and statistics of the data.
        model_params: Which network.
        train_params: How it is trained.
        state: As for `train`: the machines of a training that is stored there are part of the key.

    Raises:
        StorageError: What `state` names cannot be read.
    """
    settings = asdict(settings_of(model_params, train_params))
    settings["precision"] = resolve(settings["precision"])
    inputs = {
        "data_version": data_version(data),
        "code_version": code_version(),
        "params": {
            "data": data_params.model_dump(),
            "model": model_params.model_dump(),
            "train": train_params.model_dump() | settings,
        },
        "libraries": {"keras": version("keras"), "tensorflow": tensorflow_version()},
    }
    key = content_key(inputs)
    kept, epochs_done = kept_machines(f"{state}/{key}.npz") if state else ([], 0)
    machines = {"machines": machines_until_the_end(kept, epochs_done, settings["epochs"])}
    return {"run_key": content_key(inputs | machines), "state_key": key, **inputs, **machines}


def code_version() -> str:
    """The version of the training code: a digest of its sources."""
    here = Path(__file__).parent
    return source_digest(here, here.parent / "common")


def train(
    *,
    data: Path,
    validation: Path,
    out: Path,
    state: str,
    data_params: DataParams,
    model_params: ModelParams,
    train_params: TrainParams,
    on_epoch: OnEpoch,
) -> dict[str, Any]:
    """Trains the network and saves the model.

    Args:
        data: Folder of the four IDX files.
        validation: `verdict.json` of the validate step; its verdict must be `passed`.
        out: Folder that receives `model.keras` (uint8 `(n, height, width)` to float32 calibrated
            probabilities `(n, classes)`, standard Keras layers only), `training.json`, `history.csv`, and
            `performance.json` (measured times, which differ from run to run).
        state: Folder or `s3://BUCKET/PREFIX` of the state after each epoch, until the training has ended.
            After a kill, a call with the same inputs resumes from it, to the same weights, unless the kind
            of processor or GPU has changed, which is then part of the `run_key`.
        data_params: Shape and statistics of the data.
        model_params: Which network.
        train_params: How it is trained, where not by the model's own settings.
        on_epoch: Called after each epoch with its metrics, seconds and images per second.

    Returns:
        What `training.json` holds: `describe_run`, digests of weights and file, size, validation metrics
        and calibration.

    Raises:
        ValidationError: The data did not pass validation, or is not the data that passed.
        TrainingError: The loss is not finite.
        DataError: A file is damaged or not of the declared shape.
        StorageError: The disk is full, or what `state` names cannot be read.
    """
    run = describe_run(data, data_params, model_params, train_params, state)
    check_validated(validation, run["data_version"])
    images, labels = idx.read_split(data, "train", len(data_params.classes))
    if images.shape[1:] != (data_params.height, data_params.width):
        raise DataError(
            f"images are {images.shape[1:]}, params.yaml says otherwise",
            "mend data.height and data.width",
            "mend data.height and data.width in params.yaml, and submit the run again",
        )

    _go_on_as_begun(run["machines"])
    from components.common.saved_model import save_model, weights_digest
    from components.train.calibration import calibrate
    from components.train.callbacks import TrainingState
    from components.train.network import megaflops

    entry, settings = MODELS[model_params.name], settings_of(model_params, train_params)
    shape = shape_of(data_params, settings)
    kept = f"{state}/{run['state_key']}.npz"
    rows, held = hold_out(labels, train_params.validation_images, train_params.seed)
    try:
        network, history = fit(
            entry,
            (images[rows], labels[rows]),
            (images[held], labels[held]),
            shape,
            settings,
            seed=train_params.seed,
            on_epoch=on_epoch,
            state=kept,
            machines=run["machines"],
        )
    except TrainingError:  # resuming from that state would fail again
        TrainingState(kept).remove()
        raise
    model = exported(network, entry.build, shape, settings, model_params.name)
    calibration = calibrate(model, images[held], labels[held])
    training = run | {
        "weights_digest": weights_digest(model),
        "parameters": model.count_params(),
        "megaflops": megaflops(network),
        "validation": {name: history[-1][f"val_{name}"] for name in ("accuracy", "loss")},
        "calibration": calibration,
    }
    with staged(out) as stage:
        save_model(model, stage / "model.keras")
        training["model_sha256"] = file_digest(stage / "model.keras", "sha256")
        with (stage / "history.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, HISTORY_COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(history)
        write_json(stage / "training.json", training)
        write_performance(stage, training["weights_digest"], _performance(history))
    TrainingState(kept).remove()
    return training


def _performance(history: list[dict[str, float]]) -> dict[str, Any]:
    """What the training took: in all, and for each epoch."""
    seconds = sum(row["seconds"] for row in history)
    images = sum(row["seconds"] * row["images_per_second"] for row in history)
    return {
        "train_seconds": round(seconds, 1),
        "train_images_per_second": round(images / seconds, 1),
        "train_peak_memory_megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
        "epochs": [
            {name: row[name] for name in ("epoch", "seconds", "images_per_second")} for row in history
        ],
    }


def _go_on_as_begun(machines: list[dict[str, Any]]) -> None:
    """Sets the number of threads of the training's last machine, and prints what has changed since then."""
    threads = machines[-1]["threads"]
    if threads != thread_count():
        print(f"going on with {threads} threads, as it began: another number gives other weights")
        import_tensorflow().config.threading.set_intra_op_parallelism_threads(threads)
    if len(machines) > 1:
        print(
            "begun on another kind of machine: the weights will not be bit for bit those of an undisturbed "
            "training (`machines` in training.json)"
        )


def check_validated(validation: Path, version_: str) -> None:
    """Refuses data that did not pass validation, or is not the data that did.

    Raises:
        ValidationError: Validation failed, or it checked other data.
    """
    verdict = read_json(validation, "validate")
    if verdict["verdict"] != "passed":
        raise ValidationError(f"the data did not pass validation ({validation})", "mend the data first")
    if verdict["data_version"] != version_:
        raise ValidationError(
            f"validation saw the data {verdict['data_version']}, this is {version_}",
            "run `fashion step validate`",
            SUBMIT_ANEW,
        )
