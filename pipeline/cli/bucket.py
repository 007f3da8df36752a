"""The commands `fashion bucket`."""

import click
from tabulate import tabulate

from pipeline.bucket import EXPIRE_DAYS, create_bucket


@click.group()
def bucket() -> None:
    """The S3 bucket of data, training states and models."""


@bucket.command()
@click.argument("name")
@click.option("--region", help="The region of a new bucket. [default: AWS_DEFAULT_REGION]")
@click.option(
    "--expire-days",
    type=click.IntRange(1, 36500),
    default=EXPIRE_DAYS,
    show_default=True,
    help="Old versions of objects, and objects below state/, are deleted after so many days.",
)
def create(name: str, region: str | None, expire_days: int) -> None:
    """Creates the bucket NAME, or changes the settings of an existing one.

    On AWS, or on the S3 server of AWS_ENDPOINT_URL.
    """
    click.echo(tabulate(create_bucket(name, region, expire_days), ("setting", "state")))
