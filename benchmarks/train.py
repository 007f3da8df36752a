"""`cnn-32-100` the plain way (`plain_keras.py`) against ours, in turn; writes `docs/bench-train.md`.

With fewer rounds than by default it prints only.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import click
import numpy as np
from tabulate import tabulate

from benchmarks.machine import describe_machine
from benchmarks.trial import ROOT, Curve, reached_after, seconds_until
from components.common.errors import PipelineError
from components.common.files import replacing
from components.common.tensorflow import fix_environment
from components.train.zoo import MODELS, shape_of
from pipeline.cli.main import run_command
from pipeline.project import Project

CLAIM = 0.9114
"""The test accuracy that the authors of `cnn-32-100` claim."""


@dataclass(frozen=True)
class Contestant:
    """One side of the comparison: a model of the zoo, or a plain Keras script (`model` is None)."""

    name: str
    model: str | None = None
    epochs: int | None = None


PLAIN = Contestant("plain Keras")
CONTESTANTS = (
    PLAIN,
    Contestant("`cnn-32-100`, ours", "cnn-32-100"),
    Contestant("`resnet-xs`", "resnet-xs"),
    Contestant("`resnet-s`, 2 epochs", "resnet-s", 2),
)
ROUNDS = 2
HOW = """`cnn-32-100` the plain way (`plain_keras.py`) against ours, in turn, as ratios.

Each training has a process of its own and is tested after each epoch, off the clock. Ours holds 5,000 images
out of train, as the pipeline does; the plain way trains on all."""
COLUMNS = (
    "",
    "train s",
    "final test accuracy",
    "s to plain's final",
    "times as fast",
    "s to 91.14 %",
    "times as fast",
    "accuracy at plain's seconds",
)


def train_ours(model: str, epochs: int | None, seed: int, out: Path) -> None:
    """Trains by the pipeline's `fit`, with the test set in the place of the held-out images."""
    from components.common import idx
    from components.train.fit import fit, hold_out

    params = Project(ROOT).params()
    settings = MODELS[model].settings.override({"epochs": epochs})
    classes = len(params.data.classes)
    images, labels = idx.read_split(ROOT / "data", "train", classes)
    rows, _ = hold_out(labels, params.train.validation_images, seed)
    with tempfile.TemporaryDirectory() as state:
        _, history = fit(
            MODELS[model],
            (images[rows], labels[rows]),
            idx.read_split(ROOT / "data", "test", classes),
            shape_of(params.data, settings),
            settings,
            seed=seed,
            on_epoch=lambda _: None,
            state=f"{state}/state.npz",
        )
    seconds = np.cumsum([row["seconds"] for row in history])
    accuracies = [row["val_accuracy"] for row in history]
    np.savetxt(out, np.stack([seconds, accuracies], 1), delimiter=",", header="seconds,accuracy", comments="")


def run(contestant: Contestant, seed: int, out: Path) -> Curve:
    """Trains in a process of its own; returns seconds of training and test accuracy after each epoch."""
    command = [sys.executable, "benchmarks/plain_keras.py", str(out)]
    if contestant.model:
        command = [sys.executable, "-m", "benchmarks.train", "--one", contestant.model]
        command += ["--epochs", str(contestant.epochs or 0), "--seed", str(seed), "--out", str(out)]
    fix_environment()
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        raise PipelineError(f"{contestant.name} failed", "`fashion data` obtains the data")
    return [(float(s), float(a)) for s, a in np.loadtxt(out, delimiter=",", skiprows=1, ndmin=2)]


def speedup(plain: Curve, ours: Curve, accuracy: float) -> float | None:
    """How many times sooner ours reaches an accuracy: 0 if never, None if plain Keras never does."""
    plain_seconds, our_seconds = seconds_until(plain, accuracy), seconds_until(ours, accuracy)
    if plain_seconds is None:
        return None
    return plain_seconds / our_seconds if our_seconds is not None else 0.0


def rows_of(curves: dict[str, Curve]) -> list[tuple[str, ...]]:
    """The table of one round."""
    plain = curves[PLAIN.name]
    end, final = plain[-1]

    def shown(value: float | None, style: str, missing: str) -> str:
        return missing if value is None else format(value, style)

    return [
        (
            name,
            f"{curve[-1][0]:.0f}",
            f"{curve[-1][1]:.2%}",
            shown(seconds_until(curve, final), ".0f", "never"),
            shown(speedup(plain, curve, final), ".1f", "-"),
            shown(seconds_until(curve, CLAIM), ".0f", "never"),
            shown(speedup(plain, curve, CLAIM), ".1f", "plain never"),
            shown(reached_after(curve, end), ".2%", "-"),
        )
        for name, curve in curves.items()
    ]


def summary(rounds: list[dict[str, Curve]]) -> str:
    """For each way, the medians over the rounds that got there, in a line."""
    lines = []
    for contestant in CONTESTANTS:
        ratios, gains, claims = [], [], 0
        for curves in rounds:
            plain, curve = curves[PLAIN.name], curves[contestant.name]
            end, final = plain[-1]
            ratios.append(speedup(plain, curve, final) or None)
            at_end = reached_after(curve, end)
            gains.append(None if at_end is None else 100 * (at_end - final))
            claims += seconds_until(curve, CLAIM) is not None
        line = f"- {contestant.name}: 91.14 % in {claims} of {len(rounds)} rounds"
        if contestant != PLAIN:
            line += (
                f"; plain's final accuracy {_over_rounds(ratios, '.1f', ' times as fast')}"
                f"; after the same seconds {_over_rounds(gains, '+.2f', ' points')}"
            )
        lines.append(line)
    return "\n".join(lines)


def _over_rounds(values: list[float | None], style: str, unit: str) -> str:
    there = [value for value in values if value is not None]
    if not there:
        return "never"
    rounds = "" if len(there) == len(values) else f" (in {len(there)} of {len(values)} rounds)"
    return f"{median(there):{style}}{unit}{rounds}"


@click.command(help=__doc__)
@click.option("--rounds", default=ROUNDS, show_default=True, type=click.IntRange(1, 100))
@click.option("--one", hidden=True)
@click.option("--epochs", default=0, hidden=True)
@click.option("--seed", default=1, hidden=True)
@click.option("--out", type=click.Path(path_type=Path), hidden=True)
def main(rounds: int, one: str | None, epochs: int, seed: int, out: Path) -> None:
    """Runs the rounds, or one training of ours."""
    if one:
        train_ours(one, epochs or None, seed, out)
        return
    curves: list[dict[str, Curve]] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, rounds + 1):
            # Every second round backwards: the machine's speed drifts.
            order = CONTESTANTS if number % 2 else CONTESTANTS[::-1]
            of_round = {}
            for contestant in order:
                print(f"\n== round {number} of {rounds}: {contestant.name}", flush=True)
                of_round[contestant.name] = run(contestant, number, Path(folder) / "curve.csv")
            curves.append({contestant.name: of_round[contestant.name] for contestant in CONTESTANTS})
    tables = [
        f"Round {number}\n\n"
        + tabulate(
            rows_of(of_round),
            COLUMNS,
            tablefmt="github",
            disable_numparse=True,
            colalign=("left", *["right"] * 7),
        )
        for number, of_round in enumerate(curves, 1)
    ]
    text = (
        f"# Plain Keras against this project\n\nMade by `make bench-train` on {datetime.now(UTC):%Y-%m-%d}: "
        f"{describe_machine()}.\n\n{HOW}\n\n{summary(curves)}\n\n" + "\n\n".join(tables) + "\n"
    )
    print(f"\n{text}")
    if rounds >= ROUNDS:
        with replacing(ROOT / "docs" / "bench-train.md") as partial:
            partial.write_text(text, encoding="utf-8")
        print("kept in docs/bench-train.md")


if __name__ == "__main__":
    run_command(main)
