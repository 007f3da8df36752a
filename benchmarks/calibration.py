"""By which loss to fit the temperature of a model: cross-validation on the images held out of its training.

    python -m benchmarks.calibration [FOLDER of the train step ...]

The test images are not looked at. A model that is calibrated already will do: a temperature is relative.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tabulate import tabulate

from components.common import idx
from components.common.files import read_json
from components.common.idx import Bytes, Probabilities
from components.common.saved_model import load_model, predict
from components.common.tensorflow import import_tensorflow
from components.evaluate.calibration import calibration_error, reliability
from components.train.calibration import Loss, at_temperature, confidence_loss, fit_temperature, log_loss
from components.train.fit import hold_out
from pipeline.project import Project, project_root

ROUNDS = 20
"""Random halves of the held-out images: fitted on one, measured on the other, and the other way round."""
BINS = 15


def mean_confidence(probabilities: Probabilities, labels: Bytes) -> float:
    """Distance of the mean confidence from the accuracy (L. Clarté et al., 2023)."""
    return abs(float(probabilities.max(axis=1).mean() - (probabilities.argmax(axis=1) == labels).mean()))


def brier(probabilities: Probabilities, labels: Bytes) -> float:
    """The Brier score."""
    return float(((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(axis=1).mean())


LOSSES: dict[str, Loss] = {
    "log loss of the confidence": confidence_loss,
    "log loss of all classes": log_loss,
    "mean confidence": mean_confidence,
    "Brier score": brier,
}


def compare(probabilities: Probabilities, labels: Bytes) -> list[tuple[str, float, float]]:
    """Each loss with calibration error and log loss on the halves that were not fitted on."""
    generator = np.random.default_rng(0)
    orders = [generator.permutation(len(labels)) for _ in range(ROUNDS)]
    halves = [pair for order in orders for pair in ((order[::2], order[1::2]), (order[1::2], order[::2]))]
    rows = []
    for name, loss in LOSSES.items():
        errors, log_losses = [], []
        for fitted, measured in halves:
            temperature = fit_temperature(probabilities[fitted], labels[fitted], loss)
            scaled = at_temperature(probabilities[measured], temperature)
            errors.append(calibration_error(reliability(scaled, labels[measured], BINS)))
            log_losses.append(log_loss(scaled, labels[measured]))
        rows.append((name, float(np.mean(errors)), float(np.mean(log_losses))))
    return rows


def main() -> None:
    """Prints a table for each model."""
    project = Project(project_root())
    images, labels = idx.read_split(project.data, "train")
    import_tensorflow()
    for folder in [Path(name) for name in sys.argv[1:]] or [project.out("train")]:
        training = read_json(folder / "training.json", "train")
        settings = training["params"]["train"]
        model = load_model(folder / "model.keras", training["weights_digest"], training["model_sha256"])
        _, held = hold_out(labels, settings["validation_images"], settings["seed"])
        rows = compare(predict(model, images[held], 500), labels[held])
        print(
            f"{training['params']['model']['name']}, seed {settings['seed']}, {len(held):,} held-out images"
        )
        headers = ("fitted by", "calibration error", "log loss")
        print(tabulate(rows, headers, tablefmt="pipe", floatfmt=".5f"), end="\n\n")


if __name__ == "__main__":
    main()
