"""Trains the models in turn, each under its own settings, through the pipeline's own steps.

Writes `docs/leaderboard.md` with its picture (a scaled run: to `outputs/trials`). Stopped and started
again, it goes on where it was; `rm -r outputs/trials` starts again.
"""

from datetime import UTC, datetime
from pathlib import Path

import click
from tabulate import tabulate

from benchmarks.machine import describe_machine
from benchmarks.trial import ROOT, Result, Trial, model_names, parent_run, reached_after
from components.common.files import replacing
from components.common.report import figure, png
from components.train.zoo import MODELS
from pipeline.cli.main import run_command
from pipeline.project import Project
from pipeline.tracking.experiment import refusals
from pipeline.tracking.runs import Tracker

DEFAULT = ("resnet-s", "resnet-xs", "cnn-32", "cnn-32-100", "cnn-64-64-512", "cnn-3x64-128", "mlp-128-64")
SHORT = (1, 3)
"""Epochs of further trials of `resnet-s`: its learning rate is nearly 0 only at the end of a training."""
EQUAL_TIMES = (30, 60, 120, 240)
"""Seconds of training after which the models are compared."""
COLUMNS = (
    "model",
    "test accuracy (95 % interval)",
    "gate",
    "parameters",
    "MFLOP",
    "s/epoch",
    "epochs",
    "train s",
    "images/s",
    "peak MB",
    "ms/image",
    "claim",
)


def trials(models: list[str], seed: int, scale: float) -> list[Trial]:
    """The models in order, `resnet-s` also for fewer epochs."""

    def scaled(model: str) -> int | None:
        return None if scale == 1 else max(1, round(MODELS[model].settings.epochs * scale))

    short = [Trial("resnet-s", seed, epochs) for epochs in SHORT if "resnet-s" in models and scale == 1]
    return [*[Trial(model, seed, scaled(model)) for model in models], *short]


def name_of(trial: Trial) -> str:
    """The name in the tables."""
    epochs = {None: "", 1: ", 1 epoch"}.get(trial.epochs, f", {trial.epochs} epochs")
    return f"`{trial.model}`{epochs}"


def table(results: list[Result]) -> str:
    """The leaderboard, best first."""
    rows = []
    for result in sorted(results, key=lambda result: -result.metrics["accuracy"]):
        metrics, cost = result.metrics, result.performance
        low, high = metrics["accuracy_lower"], metrics["accuracy_upper"]
        rows.append(
            (
                name_of(result.trial),
                f"{metrics['accuracy']:.2%} ({low:.2%} to {high:.2%})",
                result.gate,
                f"{result.training['parameters']:,}",
                f"{result.training['megaflops']:.1f}",
                f"{result.seconds / len(result.curve):.1f}",
                len(result.curve),
                f"{result.seconds:.0f}",
                f"{cost['train_images_per_second']:,.0f}",
                f"{cost['train_peak_memory_megabytes']:,}",
                f"{result.performance['latency_ms_median']:.2f}",
                MODELS[result.trial.model].claim,
            )
        )
    align = ("left", "right", "left", *["right"] * 8, "left")
    return tabulate(rows, COLUMNS, tablefmt="github", disable_numparse=True, colalign=align)


def equal_time_table(results: list[Result]) -> str:
    """Held-out accuracy of each model after the same seconds of training."""
    rows = []
    for result in sorted(results, key=lambda result: -result.metrics["accuracy"]):
        reached = [reached_after(result.curve, seconds) for seconds in EQUAL_TIMES]
        rows.append((name_of(result.trial), *["-" if r is None else f"{r:.2%}" for r in reached]))
    head = ("model", *[f"{seconds} s" for seconds in EQUAL_TIMES])
    align = ("left", *["right"] * len(EQUAL_TIMES))
    return tabulate(rows, head, tablefmt="github", disable_numparse=True, colalign=align)


def picture(results: list[Result]) -> bytes:
    """Test accuracy against training seconds, and held-out accuracy while they pass."""
    drawing = figure(11, 4.5)
    left, right = drawing.subplots(1, 2)
    by_model: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda result: result.seconds):
        by_model.setdefault(result.trial.model, []).append(result)
    for model, of_model in by_model.items():
        accuracies = [result.metrics["accuracy"] for result in of_model]
        spread = [
            [100 * (a - r.metrics["accuracy_lower"]) for a, r in zip(accuracies, of_model, strict=True)],
            [100 * (r.metrics["accuracy_upper"] - a) for a, r in zip(accuracies, of_model, strict=True)],
        ]
        line = left.errorbar(
            [result.seconds for result in of_model],
            [100 * a for a in accuracies],
            spread,
            marker="o",
            capsize=3,
            label=model,
        )
        for result in of_model:
            seconds, held_out = zip(*result.curve, strict=True)
            right.plot(seconds, [100 * a for a in held_out], marker=".", color=line[0].get_color())
    left.set(title="Test, with 95 % interval", ylabel="accuracy, %")
    right.set(title="Held-out images, after each epoch")
    right.set_ylim(bottom=max(right.get_ylim()[0], 80))
    left.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.set_xlabel("seconds of training")
        axes.set_xscale("log")
        axes.grid(alpha=0.3)
    return png(drawing)


def write(results: list[Result], scale: float, out: Path) -> Path:
    """Writes `leaderboard.md` and `leaderboard.png` into a folder."""
    seed = results[0].trial.seed
    short = ""
    if any(result.trial.epochs in SHORT for result in results) and scale == 1:
        short = "`resnet-s` is best at the end of its schedule: it was also trained for fewer epochs."
    scaled = "" if scale == 1 else f" **A quick look: {scale:g} times their epochs.**"
    text = f"""# Leaderboard

Made by `make leaderboard` on {datetime.now(UTC):%Y-%m-%d}: {describe_machine()}.

Every model went through the pipeline's steps (validate, train, evaluate, gate) under its own settings
(`fashion zoo show NAME`), with seed {seed}, one after the other.{scaled} `train s` and
`images/s` are of training alone, `peak MB` is of the training process, `ms/image` the median latency of
one image in the saved model. Differences below half a point of test accuracy are a tie. The machine's speed
drifts by 20 to 30 %. Of the images/s of `resnet-s`, half are trained on, of those of `resnet-xs` a third: the
setting `proxy` in [models.md](models.md#settings).

{table(results)}

![Accuracy against training seconds, and accuracy at equal time](leaderboard.png)

Accuracy at equal time, on the images held out of train (they read about a point above test), at the last
epoch that had ended by then. {short}

{equal_time_table(results)}

MFLOP are the multiplications and additions of convolutions and dense layers in one forward pass of the
network that is trained. The saved models of `resnet-s` and `resnet-xs` make two, one on the mirror image;
their test accuracy and `ms/image` are of that. The claim is the author's, of one run; here 5,000 images are
held out.
"""
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "leaderboard.png") as partial:
        partial.write_bytes(picture(results))
    with replacing(out / "leaderboard.md") as partial:
        partial.write_text(text, encoding="utf-8")
    return out / "leaderboard.md"


@click.command(help=__doc__)
@click.option(
    "--epochs-scale",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 100, min_open=True),
    help="Of each model's own number of epochs.",
)
@click.option(
    "--models", default=",".join(DEFAULT), show_default=True, callback=model_names, help="By commas."
)
def main(epochs_scale: float, models: list[str]) -> None:
    """Trains what is not trained yet, and writes the table."""
    params = Project(ROOT).params()
    tracker = Tracker(
        ROOT, f"{params.tracking.experiment}-{'leaderboard' if epochs_scale == 1 else 'quick-look'}"
    )
    everyone, results = trials(models, params.train.seed, epochs_scale), []
    with parent_run(tracker, "leaderboard", epochs_scale) as parent:
        for place, trial in enumerate(everyone, 1):
            print(f"\n== {place}/{len(everyone)} {name_of(trial)}", flush=True)
            results.append(trial.run(tracker, parent))
        # A quick look or a part of the models is not what docs/ shows.
        whole = epochs_scale == 1 and set(DEFAULT) <= set(models)
        path = write(results, epochs_scale, ROOT / ("docs" if whole else "outputs/trials"))
        with refusals():
            for file in (path, path.with_suffix(".png")):
                tracker.client.log_artifact(parent, str(file))
    print(f"\n{table(results)}\n\n{path.relative_to(ROOT)} and its picture; the runs: make ui")


if __name__ == "__main__":
    run_command(main)
