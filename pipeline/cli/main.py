"""The command `fashion`: the data, the steps, the gate and the summary."""

import os
import sys
from io import TextIOWrapper
from pathlib import Path

import click

from components.common.errors import ExitCode, PipelineError
from components.common.files import as_storage_error
from components.train.zoo import MODEL_NAMES, MODELS
from pipeline.cli.bucket import bucket
from pipeline.cli.runs import runs, schedule, submit
from pipeline.cli.kubeflow import compile_, doctor, run_local
from pipeline.process import settle_process
from pipeline.steps import STEP_NAMES, Project
from pipeline.tracking.store import project_root

EXIT_CODES = "Exit codes: " + ", ".join(f"{code.value} {code.name.lower()}" for code in ExitCode) + "."


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
def cli() -> None:
    """Trains, judges and registers a model of Fashion-MNIST (or of any data set like it)."""


@cli.command()
def run() -> None:
    """The whole pipeline: data, `dvc repro`, the registry, and a summary."""
    from pipeline.data.dataset import run_dvc
    from pipeline.tracking.store import check_servers

    project = Project(project_root())
    params = project.params()
    check_servers(project.root)
    _obtain(project, None, False)
    run_dvc(project.root, "repro")
    from pipeline.registry.versions import last_model
    from pipeline.tracking.runs import Tracker

    tracker = Tracker(project.root, params.tracking.experiment)
    if last_model(project, tracker, params.register_.model_name) is None:
        click.echo("the registry lacks what dvc.lock remembers: registering again")
        run_dvc(project.root, "repro", "--force", "--single-item", "register")
    _summary(project)


@cli.command()
@click.argument("name", type=click.Choice(STEP_NAMES))
def step(name: str) -> None:
    """Runs one step, as dvc.yaml does."""
    from pipeline.steps import run_step

    project = Project(project_root())
    click.echo(run_step(name, project, project.params()))


@cli.group(invoke_without_command=True)
@click.option(
    "--from",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the four files, gzipped or not, from this folder.",
)
@click.option("--replace", is_flag=True, help="Fetch files anew that are there but wrong.")
@click.pass_context
def data(context: click.Context, folder: Path | None, replace: bool) -> None:
    """Obtains and verifies the data set that data.dvc describes."""
    if context.invoked_subcommand is None:
        _obtain(Project(project_root()), folder, replace)


@data.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def adopt(folder: Path) -> None:
    """Makes the four IDX files in FOLDER the project's data set.

    Replaces data/ and rewrites data.dvc, then prints what params.yaml needs for it.
    The old data set stays in DVC's cache: `git checkout data.dvc && dvc checkout` brings it back.
    """
    from ruamel.yaml import YAML

    from pipeline.data.dataset import adopt as adopt_folder

    settings = adopt_folder(project_root(), folder)
    click.echo(
        "data.dvc describes this data now. Put these into params.yaml, with names for the classes,\n"
        "and choose a register.model_name and a tracking.experiment of its own:\n"
    )
    YAML().dump(settings, sys.stdout)


@data.command("push")
@click.option("--remote", default="", metavar="NAME", help="The DVC remote. [default: DVC's default remote]")
def data_push(remote: str) -> None:
    """Brings the data set into a DVC remote, and reads it back.

    What the remote has is compared by content: what is missing is sent, what is damaged is replaced.
    """
    from pipeline.data.push import push

    version, place = push(project_root(), remote, click.echo)
    click.echo(f"{place} has data {version}, every byte verified")


@data.command("show")
def data_show() -> None:
    """Draws samples of the data, and counts its classes."""
    from tabulate import tabulate

    from pipeline.data.samples import draw_samples

    project = Project(project_root())
    counts = draw_samples(project.data, project.root / "outputs" / "data", project.params().data)
    click.echo(tabulate(counts, ("class", "train", "test")))
    click.echo("\nsamples.png, per_class.png and class_counts.png are in outputs/data")


@cli.group()
def model() -> None:
    """The models that `model.name` in params.yaml can name."""


@model.command("list")
def model_list() -> None:
    """Prints each model's name, and what is claimed of it."""
    from tabulate import tabulate

    click.echo(tabulate([(name, entry.claim) for name, entry in MODELS.items()], ("model", "claim")))


@model.command("show")
@click.argument("name", type=click.Choice(MODEL_NAMES))
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to draw it, .png or .svg. [default: outputs/models/NAME.svg]",
)
def model_show(name: str, plot: Path | None) -> None:
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


@cli.command()
@click.option("--strict", is_flag=True, help="Exit 1 when the model is rejected.")
def gate(strict: bool) -> None:
    """Judges the evaluated model by the rules in params.yaml, and writes nothing."""
    from components.common.files import read_json
    from components.gate.step import gate_table, judge, verdict

    project = Project(project_root())
    evaluation = read_json(project.out("evaluate") / "evaluation.json", "evaluate")
    rules = judge(evaluation.get("metrics"), project.params().gate)
    click.echo(gate_table(rules))
    click.echo(f"gate: {verdict(rules)}")
    if strict and verdict(rules) != "passed":
        sys.exit(ExitCode.FAILED)


@cli.command()
def params() -> None:
    """Prints every parameter with its value, type and range, and meaning."""
    from tabulate import tabulate

    from pipeline.params import describe

    content = Project(project_root()).params().model_dump(by_alias=True)
    own = vars(MODELS[content["model"]["name"]].settings)
    rows = []
    for name, kind, meaning in describe():
        value = content
        for part in name.split("."):
            value = value[part]
        if name.startswith("train.") and value is None:
            value = f"{own[name.removeprefix('train.')]} (model's)"
        rows.append((name, "" if isinstance(value, dict) else str(value), kind, meaning))
    click.echo(tabulate(rows, ("parameter", "value", "type", "meaning"), maxcolwidths=[None, 24, None, None]))


@cli.command()
def summary() -> None:
    """Prints data version, verdicts, accuracy, gate and registry of the last run."""
    _summary(Project(project_root()))


@cli.command()
@click.option("--port", default=5000, show_default=True, help="Where to listen on this machine.")
def ui(port: int) -> None:
    """Starts the MLflow UI on the store of this project."""
    from pipeline.tracking.server import experiment_page, is_server
    from pipeline.tracking.runs import Tracker

    project = Project(project_root())
    tracker = Tracker(project.root, project.params().tracking.experiment, read_only=True)
    uri = tracker.uri
    if is_server(uri):
        page = experiment_page(uri, tracker.experiment_id)
        click.echo(f"MLFLOW_TRACKING_URI names a server: open {page}")
        return
    page = experiment_page(f"http://127.0.0.1:{port}", tracker.experiment_id)
    click.echo(f"MLflow UI: {page} (Ctrl-C ends it)")
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # starts in half the time
    arguments = ["server", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *arguments])


for command in (bucket, compile_, doctor, run_local, runs, schedule, submit):
    cli.add_command(command)


def _obtain(project: Project, folder: Path | None, replace: bool) -> None:
    from pipeline.data.dataset import manifest, obtain

    source = obtain(project.root, folder, replace)
    origin = "is there" if source == "present" else f"came from {source}"
    click.echo(f"data {manifest(project.root).version} {origin}, every byte verified")


def _summary(project: Project) -> None:
    from pipeline.summary import summary as text

    click.echo("\n" + text(project))


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
