"""The commands `fashion runs`."""

from __future__ import annotations

from typing import Any

import click
from tabulate import tabulate

from pipeline.cli.options import connect, connection_options
from pipeline.cli.waiting import WaitInterrupted, duration, timeout_option, wait_for
from pipeline.kubeflow.client.runs import latest
from pipeline.kubeflow.client.stop import stop


@click.group(invoke_without_command=True)
@connection_options
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="How many.")
def runs(limit: int, **options: Any) -> None:
    """Prints the latest runs on the cluster, with accuracy and verdict from MLflow or the step statuses."""
    if click.get_current_context().invoked_subcommand:
        return
    rows = []
    for run in latest(*connect(options), limit):
        accuracy = run.result.accuracy
        rows.append(
            (
                run.run_id,
                run.name,
                run.state.lower(),
                f"{run.started.astimezone():%Y-%m-%d %H:%M}",
                "" if run.seconds is None else duration(run.seconds),
                "" if accuracy is None else f"{accuracy:.2%}",
                run.result.verdict,
            )
        )
    header = ("id", "name", "state", "started", "took", "accuracy", "gate")
    click.echo(tabulate(rows, header, disable_numparse=True))


@runs.command("wait")
@click.argument("run_id")
@connection_options
@timeout_option
def runs_wait(run_id: str, timeout: float | None, **options: Any) -> None:
    """Prints each step of a run until the run has ended; exits 1 if it failed."""
    wait_for(connect(options)[0], run_id, timeout)


@runs.command("stop")
@click.argument("run_id")
@connection_options
def runs_stop(run_id: str, **options: Any) -> None:
    """Terminates a run, and waits until it has ended; if its pods cannot start, its workflow is shut down."""
    try:
        stop(connect(options)[0], run_id, click.echo)
    except KeyboardInterrupt:
        hint = f"go on with it: fashion runs stop {run_id}"
        raise WaitInterrupted("interrupted; the run may not have ended", hint) from None
