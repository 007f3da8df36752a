"""Waiting for a run on the terminal, for `fashion submit --wait` and `fashion runs wait`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from components.common.errors import ExitCode, PipelineError

if TYPE_CHECKING:
    from pipeline.kubeflow.client.api import Kfp
    from pipeline.kubeflow.client.progress import StepState
    from pipeline.kubeflow.client.wait import EndedRun

timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="After which to wait no longer; the run goes on.",
)


class WaitInterrupted(PipelineError):  # noqa: N818 - nothing went wrong
    """The user waits no longer."""

    exit_code = ExitCode.INTERRUPTED


def wait_for(kfp: Kfp, run_id: str, timeout: float | None) -> None:
    """Prints each step of a run until the run has ended, then the table of all; raises when it failed."""
    from pipeline.kubeflow.client.wait import next_commands, wait_until_ended

    try:
        ended = wait_until_ended(kfp, run_id, _print_step, timeout, notify=partial(click.echo, err=True))
    except KeyboardInterrupt:
        raise WaitInterrupted("interrupted; the run goes on", next_commands(run_id)) from None
    click.echo(f"\n{_table(ended)}\n")
    failure = ended.failure
    if failure:
        where = f"the run failed in {failure.step}: " if failure.step else "the run did not succeed: "
        raise PipelineError(where + failure.error, failure.hint)
    click.echo(f"the run succeeded in {duration(ended.seconds)}")


def _print_step(step: StepState) -> None:
    from datetime import datetime

    from pipeline.kubeflow.client.progress import describe

    click.echo(f"{datetime.now():%H:%M:%S}  {step.step:<12}{describe(step)}")


def _table(ended: EndedRun) -> str:
    from tabulate import tabulate

    rows: list[tuple[str, str, str, str]] = []
    for step in ended.steps:
        result = ended.results.get(step.step, "").partition("\n")[0]
        state = "from cache" if step.state == "cached" else step.state
        rows.append((step.step, state, f"{step.seconds:.0f} s" if step.seconds else "", result))
    rows += [(name, "not run", "", "") for name in ended.not_run]
    return tabulate(rows, ("step", "", "time", "result"), disable_numparse=True)


def duration(seconds: float) -> str:
    """Seconds as people say them: `3 min 46 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
