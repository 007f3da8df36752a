"""The commands `fashion bucket`."""

import click

from pipeline.bucket import EXPIRE_DAYS, create_bucket


@click.group()
def bucket() -> None:
    """The S3 bucket of data, training states and models."""


@bucket.command()
@click.argument("name")
@click.option("--region", help="Where a new bucket lies. [default: AWS_DEFAULT_REGION]")
@click.option(
    "--expire-days",
    type=click.IntRange(1, 36500),
    default=EXPIRE_DAYS,
    show_default=True,
    help="When old versions, and what is below state/, are deleted.",
)
def create(name: str, region: str | None, expire_days: int) -> None:
    """Makes the bucket NAME, or sets up one that is there.

    On AWS, or on the S3 server that AWS_ENDPOINT_URL names.
    """
    from tabulate import tabulate

    click.echo(tabulate(create_bucket(name, region, expire_days), ("setting", "state")))
