"""The command `fashion`: its subcommands, and how it prints errors."""

import sys
from io import TextIOWrapper
from pathlib import Path

import click

from components.common.errors import ExitCode, PipelineError
from components.common.files import as_storage_error
from pipeline.cli.app import app
from pipeline.cli.bucket import bucket
from pipeline.cli.data import data
from pipeline.cli.doctor import doctor
from pipeline.cli.kubeflow import compile_, run_local, submit
from pipeline.cli.models import models, promote, rollback
from pipeline.cli.predict import predict
from pipeline.cli.project import gate, params, run, step, summary, ui
from pipeline.cli.reproduce import reproduce
from pipeline.cli.runs import runs
from pipeline.cli.schedule import schedule
from pipeline.cli.serve import serve
from pipeline.cli.zoo import zoo
from pipeline.process import settle_process

EXIT_CODES = "Exit codes: " + ", ".join(f"{code.value} {code.name.lower()}" for code in ExitCode) + "."


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
def cli() -> None:
    """Trains, judges and registers a model of Fashion-MNIST (or of any data set like it)."""


for command in (
    *(run, step, gate, summary, params, ui),
    *(models, promote, rollback),
    serve,
    *(data, zoo, bucket),
    app,
    reproduce,
    predict,
    *(run_local, compile_, submit, runs, schedule, doctor),
):
    cli.add_command(command)


def main() -> None:
    """Runs `fashion`."""
    run_command(cli)


def run_command(command: click.Command) -> None:
    """Runs a command, and ends the process with the exit code of an error.

    An error that the user can correct is printed as two lines, what was wrong and what to do, without a
    traceback.
    """
    settle_process()
    if isinstance(sys.stdout, TextIOWrapper):  # so that a log file shows each line at once
        sys.stdout.reconfigure(line_buffering=True)
    try:
        command(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the same command continues from there", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except (PipelineError, OSError) as error:
        known = (
            error
            if isinstance(error, PipelineError)
            else as_storage_error(error, Path(error.filename or "."))
        )
        if known is None:
            raise
        click.echo(f"error: {known}", err=True)
        if known.hint:
            click.echo(f"what to do: {known.hint}", err=True)
        sys.exit(known.exit_code)


if __name__ == "__main__":
    main()
