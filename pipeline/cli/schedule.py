"""The commands `fashion schedule`."""

from __future__ import annotations

from typing import Any

import click

from pipeline.cli.options import cluster_of, cluster_options, connect, connection_options, run_options
from pipeline.project import project_root


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
    from pipeline.kubeflow.client import schedules
    from pipeline.kubeflow.client.submission import prepare

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
    with prepare(project_root(), cluster, options["params"], options["candidates"]) as submission:
        made = schedules.create(
            kfp,
            submission.package,
            options["name"] or submission.pipeline,
            cron,
            experiment,
            submission.arguments,
            cached=not options["no_cache"],
            service_account=options["service_account"],
        )
    click.echo(f"schedule {made.name} ({made.schedule_id}): {made.cron}")


@schedule.command("list")
@connection_options
def schedule_list(**options: Any) -> None:
    """Prints the schedules of the experiment."""
    from tabulate import tabulate

    from pipeline.kubeflow.client import schedules

    kfp, experiment = connect(options)
    rows = [
        (s.schedule_id, s.name, s.cron, "active" if s.active else "paused")
        for s in schedules.schedules(kfp, experiment)
    ]
    click.echo(tabulate(rows, ("id", "name", "cron", ""), disable_numparse=True))


@schedule.command("pause")
@click.argument("name_or_id")
@connection_options
def schedule_pause(name_or_id: str, **options: Any) -> None:
    """Makes a schedule start no runs until it is resumed."""
    from pipeline.kubeflow.client import schedules

    kfp, experiment = connect(options)
    schedules.pause(kfp, schedules.find(kfp, experiment, name_or_id))


@schedule.command("resume")
@click.argument("name_or_id")
@connection_options
def schedule_resume(name_or_id: str, **options: Any) -> None:
    """Makes a paused schedule start runs again."""
    from pipeline.kubeflow.client import schedules

    kfp, experiment = connect(options)
    schedules.resume(kfp, schedules.find(kfp, experiment, name_or_id))


@schedule.command("delete")
@click.argument("name_or_id")
@connection_options
def schedule_delete(name_or_id: str, **options: Any) -> None:
    """Removes a schedule; its runs stay. While one of them is on, it is only paused."""
    from pipeline.kubeflow.client import schedules

    kfp, experiment = connect(options)
    schedules.delete(kfp, schedules.find(kfp, experiment, name_or_id))
