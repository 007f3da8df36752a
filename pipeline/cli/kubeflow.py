"""The commands that compile the Kubeflow pipeline, or run it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from tabulate import tabulate

from components.common.errors import PipelineError
from pipeline.cli.options import (
    batch_of,
    batch_options,
    cluster_of,
    cluster_options,
    connect,
    connection_options,
    pipeline_options,
    submission_options,
)
from pipeline.cli.waiting import timeout_option, wait_for
from pipeline.project import project_root


@click.command("run-local")
@pipeline_options
@click.option("--deploy", is_flag=True, hidden=True)
def run_local(params: tuple[str, ...], candidates: tuple[str, ...], no_cache: bool, deploy: bool) -> None:
    """Runs the Kubeflow pipeline on this machine, in KFP's own local runner."""
    if deploy:
        raise click.UsageError("--deploy is for a cluster, `fashion submit`; here `fashion serve` serves it")
    from pipeline.data.dataset import obtain
    from pipeline.kubeflow.local.runner import LOG
    from pipeline.kubeflow.local.runner import run_local as run

    root = project_root()
    obtain(root)
    result = run(root, params, candidates, cached=not no_cache)
    rows = [
        (s.name, s.state, f"{s.seconds:.0f} s" if s.seconds else "", s.line.partition("\n")[0])
        for s in result.steps
    ]
    click.echo("\n" + tabulate(rows, ("step", "", "time", "result"), disable_numparse=True))
    if not result.succeeded:
        raise PipelineError(result.headline, f"KFP's whole log is in outputs/kubeflow/{LOG}")
    click.echo(f"\n{result.headline}")


@click.command("compile")
@cluster_options
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="Another default of a pipeline argument."
)
@click.option("--sweep", is_flag=True, help="The sweep pipeline instead of the train pipeline.")
@batch_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="[default: build/pipeline.yaml, build/sweep.yaml, build/batch.yaml]",
)
def compile_(params: tuple[str, ...], sweep: bool, output: Path | None, **options: Any) -> None:
    """Writes the pipeline as KFP's YAML, to upload in KFP's UI."""
    from pipeline.kubeflow.definition.arguments import batch_arguments, check_remote, pipeline_arguments
    from pipeline.kubeflow.definition.compiler import PipelineName, compile_pipeline
    from pipeline.params import load

    root = project_root()
    batch = batch_of(options)
    cluster, checked = cluster_of(options), load(root / "params.yaml")
    name: PipelineName = "batch" if batch else "sweep" if sweep else "train"
    arguments = (
        batch_arguments(checked, batch, params) if batch else pipeline_arguments(root, checked, params)
    )
    if arguments.get("remote"):  # otherwise it is filled in when a run is started in KFP's UI
        check_remote(arguments["remote"])
    path = output or root / "build" / ("pipeline.yaml" if name == "train" else f"{name}.yaml")
    compile_pipeline(path, name, cluster, arguments)
    click.echo(f"{path}: image {cluster.image}, code {arguments['code_version'][:12]}")


@click.command()
@connection_options
@cluster_options
@submission_options
@click.option("--wait", is_flag=True, help="Print each step until the run has ended; exit 1 if it failed.")
@timeout_option
def submit(wait: bool, timeout: float | None, name: str | None, **options: Any) -> None:
    """Runs the pipeline on a cluster with Kubeflow Pipelines; with --batch, predicts pictures."""
    from pipeline.kubeflow.client.submission import dated, prepare

    batch = batch_of(options)
    cluster = cluster_of(options)
    kfp, experiment = connect(options)
    submission = prepare(project_root(), cluster, **options, batch=batch)
    run = kfp.submit(submission, name or dated(submission.title), experiment)
    click.echo(f"{run.name}\n{run.url}")
    if wait:
        wait_for(kfp, run.run_id, timeout)
