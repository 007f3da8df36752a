"""Waiting for a run in the terminal, for `fashion submit --wait` and `fashion runs wait`."""

from __future__ import annotations

from datetime import datetime
from functools import partial

import click
from tabulate import tabulate

from components.common.errors import ExitCode, PipelineError
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.progress import StepState, describe
from pipeline.kubeflow.client.wait import FinishedRun, next_commands, wait_until_finished

timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Stop waiting after this time; the run goes on.",
)


class WaitInterrupted(PipelineError):  # noqa: N818 - not an error
    """The user has interrupted the wait."""

    exit_code = ExitCode.INTERRUPTED


def wait_for(kfp: Kfp, run_id: str, timeout: float | None) -> None:
    """Prints each change of a step until the run has ended, then a table of all steps.

    Raises:
        PipelineError: The run failed, or the wait was interrupted or timed out.
    """
    try:
        run = wait_until_finished(kfp, run_id, _print_step, partial(click.echo, err=True), timeout)
    except KeyboardInterrupt:
        raise WaitInterrupted("interrupted; the run goes on", next_commands(run_id)) from None
    click.echo(f"\n{_table(run)}\n")
    failure = run.failure
    if failure:
        where = f"the run failed in {failure.step}" if failure.step else "the run did not succeed"
        raise PipelineError(f"{where}: {failure.error}", failure.hint)
    click.echo(f"the run succeeded in {duration(run.seconds)}")


def _print_step(step: StepState) -> None:
    click.echo(f"{datetime.now():%H:%M:%S}  {step.step:<12}{describe(step)}")


def _table(run: FinishedRun) -> str:
    rows: list[tuple[str, str, str, str]] = []
    for step in run.steps:
        result = run.results.get(step.step, "").partition("\n")[0]
        state = "from cache" if step.state == "cached" else step.state
        rows.append((step.step, state, f"{step.seconds:.0f} s" if step.seconds else "", result))
    rows += [(name, "not run", "", "") for name in run.not_run]
    return tabulate(rows, ("step", "", "time", "result"), disable_numparse=True)


def duration(seconds: float) -> str:
    """Seconds as text: `3 min 46 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
