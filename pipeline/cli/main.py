"""The command `fashion`: its groups of commands, and what it does about faults."""

import sys
from io import TextIOWrapper
from pathlib import Path

import click

from components.common.errors import ExitCode, PipelineError
from components.common.files import as_storage_error
from pipeline.cli.bucket import bucket
from pipeline.cli.data import data
from pipeline.cli.doctor import doctor
from pipeline.cli.kubeflow import compile_, run_local, submit
from pipeline.cli.model import model
from pipeline.cli.project import gate, params, run, step, summary, ui
from pipeline.cli.runs import runs
from pipeline.cli.schedule import schedule
from pipeline.process import settle_process

EXIT_CODES = "Exit codes: " + ", ".join(f"{code.value} {code.name.lower()}" for code in ExitCode) + "."


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
def cli() -> None:
    """Trains, judges and registers a model of Fashion-MNIST (or of any data set like it)."""


for command in (
    *(run, step, gate, summary, params, ui),
    *(data, model, bucket),
    *(run_local, compile_, submit, runs, schedule, doctor),
):
    cli.add_command(command)


def main() -> None:
    """Runs `fashion`."""
    run_command(cli)


def run_command(command: click.Command) -> None:
    """Runs a command; a fault that the user can mend is two lines, not a traceback."""
    settle_process()
    if isinstance(sys.stdout, TextIOWrapper):  # progress shows in a log file, too
        sys.stdout.reconfigure(line_buffering=True)
    try:
        command(standalone_mode=False)
    except PipelineError as error:
        click.echo(f"error: {error}", err=True)
        if error.hint:
            click.echo(f"what to do: {error.hint}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except OSError as error:
        storage = as_storage_error(error, Path(error.filename or "."))
        if storage is None:
            raise
        click.echo(f"error: {storage}\nwhat to do: {storage.hint}", err=True)
        sys.exit(storage.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command goes on from there", err=True)
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
