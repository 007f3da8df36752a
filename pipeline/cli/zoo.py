"""The commands `fashion zoo`."""

from pathlib import Path

import click
from tabulate import tabulate

from components.train.zoo import MODEL_NAMES, MODELS
from pipeline.project import Project, project_root


@click.group()
def zoo() -> None:
    """The model zoo: the networks that `model.name` in params.yaml can name."""


@zoo.command("list")
def zoo_list() -> None:
    """Prints each model's name and claim."""
    click.echo(tabulate([(name, entry.claim) for name, entry in MODELS.items()], ("model", "claim")))


@zoo.command("show")
@click.argument("name", type=click.Choice(MODEL_NAMES))
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The drawing's file, .png or .svg. [default: outputs/models/NAME.svg]",
)
def zoo_show(name: str, plot: Path | None) -> None:
    """Prints a model's settings and layers, and draws its network.

    Shapes are of one image. MFLOP are the multiplications and additions of a forward pass, in 10^6.
    """
    from components.train.network import draw
    from pipeline.models import model_tables

    project = Project(project_root())
    network, text = model_tables(name, project.params().data)
    click.echo(text)
    path = plot or project.root / "outputs" / "models" / f"{name}.svg"
    draw(network, path)
    click.echo(f"\ndrawn to {path}")
