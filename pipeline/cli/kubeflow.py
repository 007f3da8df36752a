"""The commands that submit nothing: `fashion compile`, `fashion run-local` and `fashion doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from components.common.errors import ExitCode, PipelineError
from pipeline.cli.options import GPUS, cluster_of, cluster_options, connection_options, what_options
from pipeline.tracking.store import project_root


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
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Another default in the form.")
@click.option("--sweep", is_flag=True, help="The sweep instead of the one training.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="[default: build/pipeline.yaml, build/sweep.yaml]",
)
def compile_(params: tuple[str, ...], sweep: bool, output: Path | None, **options: Any) -> None:
    """Writes the pipeline as KFP's YAML, to upload in KFP's UI."""
    from pipeline.kubeflow.definition.compiler import compile_pipeline
    from pipeline.kubeflow.definition.arguments import check_remote, form_values
    from pipeline.params import load

    root = project_root()
    cluster = cluster_of(options)
    form = form_values(root, load(root / "params.yaml"), params)
    if form["remote"]:  # else whoever uploads the file fills it in
        check_remote(form["remote"])
    path = output or root / "build" / ("sweep.yaml" if sweep else "pipeline.yaml")
    compile_pipeline(path, "sweep" if sweep else "train", cluster, form)
    click.echo(f"{path}: image {cluster.image}, code {form['code_version'][:12]}")


@click.command()
@connection_options
@click.option("--image", default="", help="Of a submission. [default: FASHION_IMAGE, or this commit's]")
@click.option(
    "--gpu",
    "gpus",
    type=GPUS,
    default=1,
    show_default=True,
    metavar="N",
    help="Of a submission: with GPUs this commit's image is another.",
)
def doctor(
    host: str | None, namespace: str | None, token_file: Path | None, image: str, gpus: int, **_: str
) -> None:
    """Checks data, DVC remote, bucket, MLflow, KFP, pods' keys and image; exits 1 when one is wrong.

    Bucket and MLflow are tried with the keys of this environment, then with those that the cluster's Secret
    gives to pods, where it can be read.
    """
    from pipeline.doctor.checks import Target, findings

    ok = True
    for finding in findings(Target(project_root(), host or "", namespace or "", token_file, image, gpus)):
        ok &= finding.ok
        mark = ("ok" if finding.tested else "??") if finding.ok else "--"
        click.echo(f"{finding.name:<10}  {mark}  {finding.text}")
        if finding.hint:
            click.echo(f"{'':<10}      what to do: {finding.hint}")
    if not ok:
        raise SystemExit(ExitCode.FAILED)
