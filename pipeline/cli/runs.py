"""The commands that talk to a cluster: `fashion submit`, `fashion schedule` and `fashion runs`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from components.common.errors import ExitCode, PipelineError
from pipeline.cli.options import (
    cluster_of,
    cluster_options,
    connect,
    connection_options,
    dated,
    ordered,
    run_options,
)
from pipeline.tracking.store import project_root

if TYPE_CHECKING:
    from pipeline.kubeflow.client.api import Kfp
    from pipeline.kubeflow.client.progress import StepState
    from pipeline.kubeflow.client.wait import Ended

timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="After which to wait no longer; the run goes on.",
)


class WaitInterrupted(PipelineError):  # noqa: N818 - nothing went wrong
    """The user waits no longer."""

    exit_code = ExitCode.INTERRUPTED


@click.command()
@connection_options
@cluster_options
@run_options
@click.option("--wait", is_flag=True, help="Show each step until the end; exit 1 when the run fails.")
@timeout_option
def submit(wait: bool, timeout: float | None, **options: Any) -> None:
    """Runs the pipeline on a cluster with Kubeflow Pipelines."""
    cluster = cluster_of(options)
    kfp, experiment = connect(options)
    with ordered(project_root(), cluster, options["params"], options["candidates"]) as order:
        run = kfp.submit(
            order.package,
            options["name"] or dated(order.title),
            experiment,
            order.form,
            cached=not options["no_cache"],
            service_account=options["service_account"],
        )
    click.echo(f"{run.name}\n{run.url}")
    if wait:
        _wait(kfp, run.run_id, timeout)


@click.group(invoke_without_command=True)
@connection_options
@cluster_options
@run_options
@click.option(
    "--cron", metavar='"S M H DAY MONTH WEEKDAY"', help="When: six fields; with five the seconds are 0."
)
def schedule(cron: str | None, **options: Any) -> None:
    """Runs the pipeline by the clock, one run at a time: --cron makes a schedule, called --name.

    The clock is the server's, mostly in UTC. A schedule keeps the image and the parameters that it was made
    with.
    """
    from pipeline.kubeflow.client.api import schedules

    command = click.get_current_context().invoked_subcommand
    if command and cron:
        raise click.UsageError(f"--cron makes a schedule; leave out {command!r}")
    if command:
        return
    if not cron:
        raise click.UsageError(f"--cron is missing, {schedules.EXAMPLE}")
    cron = schedules.parse_cron(cron)
    cluster = cluster_of(options)
    kfp, experiment = connect(options)
    with ordered(project_root(), cluster, options["params"], options["candidates"]) as order:
        made = schedules.create(
            kfp,
            order.package,
            options["name"] or order.pipeline,
            cron,
            experiment,
            order.form,
            cached=not options["no_cache"],
            service_account=options["service_account"],
        )
    click.echo(f"schedule {made.name} ({made.schedule_id}): {made.cron}")


@schedule.command("list")
@connection_options
def schedule_list(**options: Any) -> None:
    """Prints the schedules of the experiment."""
    from tabulate import tabulate

    from pipeline.kubeflow.client.schedules import schedules

    kfp, experiment = connect(options)
    rows = [
        (s.schedule_id, s.name, s.cron, "active" if s.active else "paused")
        for s in schedules(kfp, experiment)
    ]
    click.echo(tabulate(rows, ("id", "name", "cron", ""), disable_numparse=True))


@schedule.command("pause")
@click.argument("name_or_id")
@connection_options
def schedule_pause(name_or_id: str, **options: Any) -> None:
    """Makes a schedule start no runs until it is resumed."""
    from pipeline.kubeflow.client.api import schedules

    kfp, experiment = connect(options)
    schedules.pause(kfp, schedules.find(kfp, experiment, name_or_id))


@schedule.command("resume")
@click.argument("name_or_id")
@connection_options
def schedule_resume(name_or_id: str, **options: Any) -> None:
    """Makes a paused schedule start runs again."""
    from pipeline.kubeflow.client.api import schedules

    kfp, experiment = connect(options)
    schedules.resume(kfp, schedules.find(kfp, experiment, name_or_id))


@schedule.command("delete")
@click.argument("name_or_id")
@connection_options
def schedule_delete(name_or_id: str, **options: Any) -> None:
    """Removes a schedule; its runs stay. While one of them is on, it is only paused."""
    from pipeline.kubeflow.client.api import schedules

    kfp, experiment = connect(options)
    schedules.delete(kfp, schedules.find(kfp, experiment, name_or_id))


@click.group(invoke_without_command=True)
@connection_options
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="How many.")
def runs(limit: int, **options: Any) -> None:
    """Prints the latest runs on the cluster; accuracy and verdict as MLflow or the steps' notes know them."""
    if click.get_current_context().invoked_subcommand:
        return
    from tabulate import tabulate

    from pipeline.kubeflow.client.runs import latest

    rows = []
    for run in latest(*connect(options), limit):
        accuracy = run.judged.accuracy
        rows.append(
            (
                run.run_id,
                run.name,
                run.state.lower(),
                f"{run.started.astimezone():%Y-%m-%d %H:%M}",
                "" if run.seconds is None else _duration(run.seconds),
                "" if accuracy is None else f"{accuracy:.2%}",
                run.judged.verdict,
            )
        )
    header = ("id", "name", "state", "started", "took", "accuracy", "gate")
    click.echo(tabulate(rows, header, disable_numparse=True))


@runs.command("wait")
@click.argument("run_id")
@connection_options
@timeout_option
def runs_wait(run_id: str, timeout: float | None, **options: Any) -> None:
    """Shows each step of a run until its end; exits 1 when it fails."""
    _wait(connect(options)[0], run_id, timeout)


@runs.command("stop")
@click.argument("run_id")
@connection_options
def runs_stop(run_id: str, **options: Any) -> None:
    """Ends a run, and waits until it has ended; a run whose pods cannot start is shut down."""
    from pipeline.kubeflow.client.stop import stop

    try:
        stop(connect(options)[0], run_id, click.echo)
    except KeyboardInterrupt:
        hint = f"go on with it: fashion runs stop {run_id}"
        raise WaitInterrupted("interrupted; the run may not have ended", hint) from None


def _wait(kfp: Kfp, run_id: str, timeout: float | None) -> None:
    from pipeline.kubeflow.client.wait import next_commands, watch

    try:
        ended = watch(kfp, run_id, _say, timeout, say=partial(click.echo, err=True))
    except KeyboardInterrupt:
        raise WaitInterrupted("interrupted; the run goes on", next_commands(run_id)) from None
    click.echo(f"\n{_table(ended)}\n")
    failure = ended.failure
    if failure:
        where = f"the run failed in {failure.step}: " if failure.step else "the run did not succeed: "
        raise PipelineError(where + failure.error, failure.hint)
    click.echo(f"the run succeeded in {_duration(ended.seconds)}")


def _say(step: StepState) -> None:
    from datetime import datetime

    from pipeline.kubeflow.client.progress import describe

    click.echo(f"{datetime.now():%H:%M:%S}  {step.step:<12}{describe(step)}")


def _table(ended: Ended) -> str:
    from tabulate import tabulate

    rows: list[tuple[str, str, str, str]] = []
    for step in ended.steps:
        result = ended.results.get(step.step, "").partition("\n")[0]
        state = "from cache" if step.state == "cached" else step.state
        rows.append((step.step, state, f"{step.seconds:.0f} s" if step.seconds else "", result))
    rows += [(name, "not run", "", "") for name in ended.not_run]
    return tabulate(rows, ("step", "", "time", "result"), disable_numparse=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
