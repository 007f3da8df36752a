"""The commands that run the pipeline on this machine and show its results."""

import os
import sys

import click
from tabulate import tabulate

from components.common.errors import ExitCode
from components.common.files import read_json
from components.common.rules import rules_table
from components.gate.step import all_rules, judge_again
from components.train.zoo import MODELS
from pipeline.cli.data import obtain_data
from pipeline.data.dataset import run_dvc
from pipeline.params import describe
from pipeline.project import Project, project_root
from pipeline.registry.versions import last_model
from pipeline.steps import STEP_NAMES, run_step
from pipeline.summary import summarize
from pipeline.tracking.server import experiment_page, is_server
from pipeline.tracking.store import check_servers


@click.command()
def run() -> None:
    """The whole pipeline: data, `dvc repro`, the registry, and a summary."""
    project = Project(project_root())
    params = project.params()
    check_servers(project.root)
    obtain_data(project)
    run_dvc(project.root, "repro")
    from pipeline.tracking.runs import Tracker

    tracker = Tracker(project.root, params.tracking.experiment)
    if last_model(project, tracker, params.register_.model_name) is None:
        click.echo("the registry does not have the model of dvc.lock: registering it again")
        run_dvc(project.root, "repro", "--force", "--single-item", "register")
    print_summary(project)


@click.command()
@click.argument("name", type=click.Choice(STEP_NAMES))
def step(name: str) -> None:
    """Runs one step, as dvc.yaml does."""
    project = Project(project_root())
    click.echo(run_step(name, project, project.params()))


@click.command()
@click.option("--strict", is_flag=True, help="Exit 1 when the model is rejected.")
def gate(strict: bool) -> None:
    """Judges the last run's figures by the rules in params.yaml, and writes nothing."""
    project = Project(project_root())
    evaluation = read_json(project.out("evaluate") / "evaluation.json", "evaluate")
    last = read_json(project.out("gate") / "gate.json", "gate")
    result = judge_again(evaluation, last["comparison"], project.params().gate)
    click.echo(rules_table(all_rules(result)))
    click.echo(f"gate: {result['sentence']}")
    if strict and result["verdict"] != "passed":
        sys.exit(ExitCode.FAILED)


@click.command()
def params() -> None:
    """Prints every parameter with its value, type and range, and meaning."""
    content = Project(project_root()).params().model_dump(by_alias=True)
    model_settings = vars(MODELS[content["model"]["name"]].settings)
    rows = []
    for name, kind, meaning in describe():
        value = content
        for part in name.split("."):
            value = value[part]
        if name.startswith("train.") and value is None:
            value = f"{model_settings[name.removeprefix('train.')]} (model's)"
        rows.append((name, "" if isinstance(value, dict) else str(value), kind, meaning))
    click.echo(tabulate(rows, ("parameter", "value", "type", "meaning"), maxcolwidths=[None, 24, None, None]))


@click.command()
def summary() -> None:
    """Prints data version, verdicts, accuracy, gate and registry of the last run."""
    print_summary(Project(project_root()))


@click.command()
@click.option("--port", default=5000, show_default=True, help="The port on this machine.")
def ui(port: int) -> None:
    """Starts the MLflow UI on the runs of this project."""
    from pipeline.tracking.runs import Tracker

    project = Project(project_root())
    tracker = Tracker(project.root, project.params().tracking.experiment, read_only=True)
    if is_server(tracker.uri):
        page = experiment_page(tracker.uri, tracker.experiment_id)
        click.echo(f"MLFLOW_TRACKING_URI is set to a server: open {page}")
        return
    page = experiment_page(f"http://127.0.0.1:{port}", tracker.experiment_id)
    click.echo(f"MLflow UI: {page} (Ctrl-C ends it)")
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # starts in half the time
    arguments = ["server", "--backend-store-uri", tracker.uri, "--host", "127.0.0.1", "--port", str(port)]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *arguments])


def print_summary(project: Project) -> None:
    """Prints the summary of the last run."""
    click.echo("\n" + summarize(project))
