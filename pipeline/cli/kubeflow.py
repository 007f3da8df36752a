"""The commands that run or compile the Kubeflow pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from components.common.errors import PipelineError
from pipeline.cli.options import (
    cluster_of,
    cluster_options,
    connect,
    connection_options,
    run_options,
    what_options,
)
from pipeline.cli.waiting import timeout_option, wait_for
from pipeline.project import project_root


@click.command("run-local")
@what_options
def run_local(params: tuple[str, ...], candidates: tuple[str, ...], no_cache: bool) -> None:
    """Runs the Kubeflow pipeline on this machine, in KFP's own local runner."""
    from tabulate import tabulate

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
        raise PipelineError(result.headline, f"all that KFP said is in outputs/kubeflow/{LOG}")
    click.echo(f"\n{result.headline}")


@click.command("compile")
@cluster_options
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Another default.")
@click.option("--sweep", is_flag=True, help="The sweep instead of the one training.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="[default: build/pipeline.yaml, build/sweep.yaml]",
)
def compile_(params: tuple[str, ...], sweep: bool, output: Path | None, **options: Any) -> None:
    """Writes the pipeline as KFP's YAML, to upload in KFP's UI."""
    from pipeline.kubeflow.definition.arguments import check_remote, pipeline_arguments
    from pipeline.kubeflow.definition.compiler import compile_pipeline
    from pipeline.params import load

    root = project_root()
    cluster = cluster_of(options)
    arguments = pipeline_arguments(root, load(root / "params.yaml"), params)
    if arguments["remote"]:  # else whoever uploads the file fills it in
        check_remote(arguments["remote"])
    path = output or root / "build" / ("sweep.yaml" if sweep else "pipeline.yaml")
    compile_pipeline(path, "sweep" if sweep else "train", cluster, arguments)
    click.echo(f"{path}: image {cluster.image}, code {arguments['code_version'][:12]}")


@click.command()
@connection_options
@cluster_options
@run_options
@click.option("--wait", is_flag=True, help="Show each step until the end; exit 1 when the run fails.")
@timeout_option
def submit(wait: bool, timeout: float | None, **options: Any) -> None:
    """Runs the pipeline on a cluster with Kubeflow Pipelines."""
    from pipeline.kubeflow.client.submission import dated, prepare

    cluster = cluster_of(options)
    kfp, experiment = connect(options)
    with prepare(project_root(), cluster, options["params"], options["candidates"]) as submission:
        run = kfp.submit(
            submission.package,
            options["name"] or dated(submission.title),
            experiment,
            submission.arguments,
            cached=not options["no_cache"],
            service_account=options["service_account"],
        )
    click.echo(f"{run.name}\n{run.url}")
    if wait:
        wait_for(kfp, run.run_id, timeout)
