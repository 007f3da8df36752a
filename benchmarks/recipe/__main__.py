"""Trains one variant of the recipe and prints its row for `docs/recipe.md`: figures on held-out images.

The loss is that of the probabilities at the best temperature, so that label smoothing and the factor of the
logits do not change it; lower is better. `flip` is the mean over image and mirror image, `shifts` that over
both and their shifts by a pixel along the diagonal, the image itself with weight 1/2. The test images are not
read.
"""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import click
import numpy as np
from scipy.special import softmax

from benchmarks.recipe.options import Options, with_options
from benchmarks.trial import ROOT
from components.common import idx
from components.common.idx import Bytes
from components.common.tensorflow import import_tensorflow
from components.train.calibration import at_temperature, fit_temperature, log_loss
from components.train.fit import hold_out
from components.train.precision import resolve
from components.train.settings import Shape
from pipeline.cli.main import run_command
from pipeline.project import Project


def shifted(images: Bytes, by: int) -> Bytes:
    """The images, moved by a pixel (`by` is 1 or -1) along the diagonal; black comes in."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
    return padded[:, 1 + by : 1 + by + images.shape[1], 1 + by : 1 + by + images.shape[2]]


def figures(logits: Any, labels: Bytes) -> str:
    """Accuracy and the loss at the best temperature."""
    probabilities = softmax(logits.astype(np.float64), axis=1)
    best = at_temperature(probabilities, fit_temperature(probabilities, labels, log_loss))
    return f"{(logits.argmax(axis=1) == labels).mean():.4f}, {log_loss(best, labels):.4f}"


@click.command(help=__doc__)
@with_options
def main(**values: Any) -> None:
    """Trains, predicts and prints."""
    options = Options(**values)
    if options.lookahead and options.average:
        raise click.UsageError("--lookahead and --average both keep slow weights: give one of them")
    import_tensorflow()
    import keras

    from benchmarks.recipe.training import train

    data = Project(ROOT).params().data
    images, labels = idx.read_split(ROOT / "data", "train", len(data.classes))
    rows, held = hold_out(labels, options.held_out, options.seed)
    keras.utils.set_random_seed(options.seed)
    if resolve("auto") == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    shape = Shape(data.height, data.width, len(data.classes), data.pixel_mean, data.pixel_std, options.l2)
    network, seconds, seen = train(options, images[rows], labels[rows], shape)

    def logits(batch: Bytes) -> Any:
        both = [network.predict(each, 500, verbose=0) for each in (batch, batch[:, :, ::-1])]
        return np.array([both[0], sum(both) / 2])

    kept, answers = images[held], labels[held]
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
    print("| options | plain | flip | shifts | train s | images/s | date | commit |")
    print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    run_command(main)
