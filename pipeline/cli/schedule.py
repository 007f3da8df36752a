"""The commands `fashion schedule`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from tabulate import tabulate

from pipeline.cli.options import (
    batch_of,
    cluster_of,
    cluster_options,
    connect,
    connection_options,
    submission_options,
)
from pipeline.kubeflow.client import schedules
from pipeline.kubeflow.client.api import Kfp
from pipeline.project import project_root


@click.group(invoke_without_command=True)
@connection_options
@cluster_options
@submission_options
@click.option(
    "--cron", metavar='"S M H DAY MONTH WEEKDAY"', help="When: six fields; with five the seconds are 0."
)
def schedule(cron: str | None, name: str | None, **options: Any) -> None:
    """Runs the pipeline at fixed times, one run at a time: --cron creates a schedule, named by --name.

    The times are in the server's time zone, mostly UTC. A schedule keeps the image and the parameters that it
    was created with.
    """
    from pipeline.kubeflow.client.submission import prepare

    command = click.get_current_context().invoked_subcommand
    if command and cron:
        raise click.UsageError(f"--cron creates a schedule; leave out {command!r}")
    if command:
        return
    if not cron:
        raise click.UsageError(f"--cron is missing, {schedules.EXAMPLE}")
    cron = schedules.parse_cron(cron)
    batch = batch_of(options)
    cluster = cluster_of(options)
    kfp, experiment = connect(options)
    submission = prepare(project_root(), cluster, **options, batch=batch)
    name = name or ("batch" if batch else "sweep" if options["candidates"] else "train")
    created = schedules.create(kfp, submission, name, experiment, cron)
    click.echo(f"schedule {created.name} ({created.schedule_id}): {created.cron}")


@schedule.command("list")
@connection_options
def schedule_list(**options: Any) -> None:
    """Prints the schedules of the experiment."""
    rows = [
        (s.schedule_id, s.name, s.cron, "active" if s.active else "paused")
        for s in schedules.schedules(*connect(options))
    ]
    click.echo(tabulate(rows, ("id", "name", "cron", ""), disable_numparse=True))


def _schedule_command(function: Callable[[Kfp, schedules.Schedule], None]) -> click.Command:
    """Makes a command of a function that changes one schedule."""

    @schedule.command(function.__name__)
    @click.argument("name_or_id")
    @connection_options
    @wraps(function)
    def command(name_or_id: str, **options: Any) -> None:
        kfp, experiment = connect(options)
        function(kfp, schedules.find(kfp, experiment, name_or_id))

    return command


@_schedule_command
def pause(kfp: Kfp, found: schedules.Schedule) -> None:
    """Stops a schedule from starting runs until it is resumed."""
    schedules.pause(kfp, found)


@_schedule_command
def resume(kfp: Kfp, found: schedules.Schedule) -> None:
    """Lets a paused schedule start runs again."""
    schedules.resume(kfp, found)


@_schedule_command
def delete(kfp: Kfp, found: schedules.Schedule) -> None:
    """Deletes a schedule; its runs stay. While one of them has not ended, the schedule is only paused."""
    schedules.delete(kfp, found)
