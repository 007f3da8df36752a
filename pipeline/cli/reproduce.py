"""The command `fashion reproduce`."""

import signal
import sys

import click
from tabulate import tabulate

from components.common.errors import ExitCode, PipelineError
from pipeline.project import Project, project_root


class ReproductionInterrupted(PipelineError):  # noqa: N818 - not an error
    """The user has interrupted the training."""

    exit_code = ExitCode.INTERRUPTED


@click.command()
@click.argument("version", type=click.IntRange(min=1))
@click.option("--keep", is_flag=True, help="Keep the worktree, with the new model in outputs/train.")
def reproduce(version: int, keep: bool) -> None:
    """Trains VERSION of the registered model again, and compares the weights.

    Code, data and parameters are those that it was trained with; your files, runs and models stay as they
    are. Exits 0 if the weights are identical, else 1.
    """
    from pipeline.registry.reproduce import reproduce as train_again

    for number in (signal.SIGTERM, signal.SIGHUP):  # these, too, remove the worktree
        signal.signal(number, signal.default_int_handler)
    try:
        result = train_again(Project(project_root()), version, click.echo, keep)
    except KeyboardInterrupt:
        raise ReproductionInterrupted(
            "interrupted; nothing was changed", "the same command begins the training anew"
        ) from None
    trainings = (result.recorded, result.made)
    rows = [
        ("weights", *(training["weights_digest"][:12] for training in trainings)),
        ("validation accuracy", *(f"{training['validation']['accuracy']:.4f}" for training in trainings)),
        *result.differences,
    ]
    header = ("", f"version {version}", "now")
    click.echo("\n" + tabulate(rows, header, disable_numparse=True, maxcolwidths=[None, 40, 40]) + "\n")
    if result.folder:
        click.echo(f"kept: {result.folder}; `git worktree remove --force {result.folder}` removes it")
    if result.identical:
        click.echo(f"identical: the weights are those of version {version}, bit for bit")
        return
    why = "what differs is in the table" if result.differences else "although no recorded input differs"
    click.echo(f"different: the weights are not those of version {version}; {why}")
    sys.exit(ExitCode.FAILED)
