"""The commands `fashion data`."""

import sys
from pathlib import Path

import click
from ruamel.yaml import YAML
from tabulate import tabulate

from pipeline.data import dataset
from pipeline.data.push import push
from pipeline.project import Project, project_root

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(invoke_without_command=True)
@click.option("--from", "folder", type=FOLDER, help="Take the four files, gzipped or not, from this folder.")
@click.option("--replace", is_flag=True, help="Obtain files again that exist but are wrong.")
@click.pass_context
def data(context: click.Context, folder: Path | None, replace: bool) -> None:
    """Obtains and verifies the data set that data.dvc describes."""
    if context.invoked_subcommand is None:
        obtain_data(Project(project_root()), folder, replace)


@data.command()
@click.argument("folder", type=FOLDER)
def adopt(folder: Path) -> None:
    """Makes the four IDX files in FOLDER the project's data set.

    Replaces data/ and rewrites data.dvc, then prints what params.yaml needs for it.
    The old data set stays in DVC's cache: `git checkout data.dvc && dvc checkout` restores it.
    """
    settings = dataset.adopt(project_root(), folder)
    click.echo(
        "data.dvc describes this data set now. Copy these lines to params.yaml, give the classes names,\n"
        "and choose another register.model_name and tracking.experiment:\n"
    )
    YAML().dump(settings, sys.stdout)


@data.command("push")
@click.option("--remote", default="", metavar="NAME", help="The DVC remote. [default: DVC's default remote]")
def data_push(remote: str) -> None:
    """Uploads the data set to a DVC remote, and reads it back.

    Files are compared by content: a missing one is uploaded, a damaged one is replaced.
    """
    version, place = push(project_root(), remote, click.echo)
    click.echo(f"{place} has data {version}, every byte verified")


@data.command("show")
def data_show() -> None:
    """Draws samples of the data, and counts its classes."""
    from pipeline.data.samples import draw_samples

    project = Project(project_root())
    counts = draw_samples(project.data, project.root / "outputs" / "data", project.params().data)
    click.echo(tabulate(counts, ("class", "train", "test")))
    click.echo("\nsamples.png, per_class.png and class_counts.png are in outputs/data")


def obtain_data(project: Project, folder: Path | None = None, replace: bool = False) -> None:
    """Brings the data set into `data/`, and prints where it came from."""
    source = dataset.obtain(project.root, folder, replace)
    origin = "is there" if source == "present" else f"came from {source}"
    click.echo(f"data {dataset.manifest(project.root).version} {origin}, every byte verified")
