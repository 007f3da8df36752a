"""The command `fashion doctor`."""

from pathlib import Path

import click

from components.common.errors import ExitCode
from pipeline.cli.options import GPUS, connection_options
from pipeline.project import project_root


@click.command()
@connection_options
@click.option("--image", default="", help="The image to submit. [default: FASHION_IMAGE, or this commit's]")
@click.option(
    "--gpu",
    "gpus",
    type=GPUS,
    default=1,
    show_default=True,
    metavar="N",
    help="GPUs of the submission: the image for GPUs is another than the image for CPUs.",
)
def doctor(
    host: str | None, namespace: str | None, token_file: Path | None, image: str, gpus: int, **_: str
) -> None:
    """Checks data, DVC remote, bucket, MLflow, KFP, pods' keys and image; exits 1 when one is wrong.

    Bucket and MLflow are tried with the keys of this environment, then with those that the cluster's Secret
    gives to pods, if it can be read.
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
