"""Trains with changed parameters and prints a row for `docs/recipe.md`: figures on held-out images.

The loss is that of the probabilities at the best temperature, so that the factor of the logits does not
change it; lower is better. With less label smoothing it is lower by itself: there, compare the accuracy.
`flip` is the mean over image and mirror image, `shifts` that over both and their shifts by a pixel along the
diagonal, the image itself with weight 1/2. The test images are not read.

NAME is a parameter of params.yaml, or an argument of the pipeline, as in `fashion submit --param`:
model=resnet-xs epochs=4 train.erase=0.5. There, epochs=0 is the model's own number.
"""

import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click
import numpy as np
from scipy.special import softmax

from benchmarks.trial import ROOT
from components.common import idx
from components.common.idx import Bytes
from components.train.calibration import at_temperature, fit_temperature, log_loss
from components.train.fit import fit, hold_out
from components.train.zoo import MODELS, shape_of
from pipeline.cli.main import run_command
from pipeline.kubeflow.runtime.step_parameters import override
from pipeline.project import Project

HELD_OUT = "train.validation_images=10000"


def shifted(images: Bytes, by: int) -> Bytes:
    """The images, moved by a pixel (`by` is 1 or -1) along the diagonal; black comes in."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    return padded[:, 1 + by : 1 + by + images.shape[1], 1 + by : 1 + by + images.shape[2]]


def figures(logits: Any, labels: Bytes) -> str:
    """Accuracy and the loss at the best temperature."""
    probabilities = softmax(logits.astype(np.float64), axis=1)
    best = at_temperature(probabilities, fit_temperature(probabilities, labels, log_loss))
    return f"{(logits.argmax(axis=1) == labels).mean():.4f}, {log_loss(best, labels):.4f}"


def three_widths(context: click.Context, option: click.Parameter, value: str | None) -> Any:
    """Three whole numbers, separated by commas."""
    if value is None:
        return None
    widths = value.split(",")
    if len(widths) != 3 or not all(width.isdecimal() and int(width) for width in widths):
        raise click.BadParameter("write three whole numbers, as in 32,64,96", context, option)
    return tuple(map(int, widths))


@click.command(help=__doc__)
@click.argument("assignments", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--widths", callback=three_widths, help="Channels of a resnet's stages, as in 32,64,96.")
@click.option("--strides", type=click.Choice(["2", "4"]), help="Of a resnet's first layer.")
def main(assignments: tuple[str, ...], widths: tuple[int, ...] | None, strides: str | None) -> None:
    """Trains, predicts and prints."""
    params = override(Project(ROOT).params(), (HELD_OUT, *assignments))
    entry, settings, seed = MODELS[params.model.name], params.settings, params.train.seed
    changes: dict[str, Any] = {}
    if widths:
        changes["widths"] = widths
    if strides:
        changes["strides"] = int(strides)
    if changes and not entry.prepare:
        raise click.UsageError("--widths and --strides are for the resnet models")
    entry = replace(entry, build=partial(entry.build, **changes))
    images, labels = idx.read_split(ROOT / "data", "train", len(params.data.classes))
    rows, held = hold_out(labels, params.train.validation_images, seed)
    kept, answers = images[held], labels[held]
    with tempfile.TemporaryDirectory() as state:
        network, history = fit(
            entry,
            (images[rows], labels[rows]),
            (kept, answers),
            shape_of(params.data, settings),
            settings,
            seed=seed,
            on_epoch=lambda _: None,
            state=f"{state}/state.npz",
        )
    seconds = sum(row["seconds"] for row in history)
    seen = sum(row["seconds"] * row["images_per_second"] for row in history)

    def logits(batch: Bytes) -> Any:
        both = [network.predict(each, 500, verbose=0) for each in (batch, batch[:, :, ::-1])]
        return np.array([both[0], sum(both) / 2])

    plain, flip = logits(kept)
    shifts = flip / 2 + (logits(shifted(kept, 1))[1] + logits(shifted(kept, -1))[1]) / 4
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    cells = (
        f"`{' '.join(sys.argv[1:])}`",
        *(figures(each, answers) for each in (plain, flip, shifts)),
        f"{seconds:.0f}",
        f"{seen / seconds:,.0f}",
        f"{datetime.now(UTC):%Y-%m-%d}",
        commit.stdout.strip(),
    )
    print("| make trial ARGS= | plain | flip | shifts | train s | images/s | date | commit |")
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    run_command(main)
