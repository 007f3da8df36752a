"""Trains our recipes with several seeds each, through the pipeline's own steps.

Writes `docs/seeds.md` (other models or fewer seeds than by default: prints only). Stopped and started again,
it goes on where it was.
"""

from datetime import UTC, datetime
from statistics import mean, stdev

import click
from tabulate import tabulate

from benchmarks.machine import describe_machine
from benchmarks.trial import ROOT, Result, Trial, model_names, parent_run
from components.common.files import replacing
from pipeline.cli.main import run_command
from pipeline.project import Project
from pipeline.tracking.runs import Tracker

RECIPES = ("resnet-s", "resnet-xs", "resnet-m")
SEEDS = 3
COLUMNS = ("model", "seed", "held-out accuracy", "test accuracy", "train s", "weights")


def rows_of(results: list[Result]) -> list[tuple[str, ...]]:
    """A row for each seed of one model, and one for mean and sample standard deviation."""
    figures = [(r.training["validation"]["accuracy"], r.metrics["accuracy"], r.seconds) for r in results]
    rows = [
        (
            f"`{r.trial.model}`",
            str(r.trial.seed),
            f"{held_out:.2%}",
            f"{test:.2%}",
            f"{seconds:.0f}",
            r.training["weights_digest"][:12],
        )
        for r, (held_out, test, seconds) in zip(results, figures, strict=True)
    ]
    held_out, test, seconds = zip(*figures, strict=True)
    spread = [f"**{mean(v):.2%}** ± {stdev(v):.2%}" if len(v) > 1 else "" for v in (held_out, test)]
    return [*rows, (f"`{results[0].trial.model}`", "mean", *spread, f"{mean(seconds):.0f}", "")]


@click.command(help=__doc__)
@click.option("--models", default=",".join(RECIPES), show_default=True, callback=model_names, help="Names.")
@click.option(
    "--seeds", default=SEEDS, show_default=True, type=click.IntRange(1, 100), help="How many, from 1 on."
)
def main(models: list[str], seeds: int) -> None:
    """Trains what is not trained yet, and writes the table."""
    tracker = Tracker(ROOT, f"{Project(ROOT).params().tracking.experiment}-seeds")
    rows = []
    with parent_run(tracker, "seeds") as parent:
        for name in models:
            results = []
            for seed in range(1, seeds + 1):
                print(f"\n== {name}, seed {seed} of {seeds}", flush=True)
                results.append(Trial(name, seed).run(tracker, parent))
            rows += rows_of(results)
    print(f"\n{tabulate(rows, COLUMNS, disable_numparse=True)}\n\nthe runs: make ui")
    if set(RECIPES) <= set(models) and seeds >= SEEDS:
        text = f"""# Our recipes over seeds

Made by `make seeds` on {datetime.now(UTC):%Y-%m-%d}: {describe_machine()}.

± is the sample standard deviation over the seeds. One accuracy on 10,000 test images has itself a standard
error of about 0.23 points. The held-out accuracy is that of the network in training, the test accuracy that
of the saved model, which averages over the image and its mirror image. The test set chose nothing: see
[recipe.md](recipe.md).

{tabulate(rows, COLUMNS, tablefmt="github", disable_numparse=True)}
"""
        with replacing(ROOT / "docs" / "seeds.md") as partial:
            partial.write_text(text, encoding="utf-8")
        print("kept in docs/seeds.md")


if __name__ == "__main__":
    run_command(main)
