"""The commands `fashion models`, `fashion promote` and `fashion rollback`: the model registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

from components.register.params import RegisterParams
from components.registry.history import CHALLENGER, CHAMPION
from pipeline.project import Project, project_root

if TYPE_CHECKING:
    from components.registry.registry import Registry

NUMBER = click.IntRange(min=1)


def _text(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("say why")
    return value


def _model_name(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    try:
        return value and RegisterParams(model_name=value).model_name
    except ValueError:
        raise click.BadParameter(f"{value!r} is no name of a registered model") from None


model_option = click.option(
    "--model",
    metavar="NAME",
    callback=_model_name,
    help="The registered model. [default: that of params.yaml]",
)
reason_option = click.option(
    "--reason", required=True, callback=_text, help="Why; it is kept in the history."
)


def registry_command(command: Callable[..., None]) -> Callable[..., None]:
    """Passes the registered model that --model names, and names MLflow's errors."""

    @model_option
    @wraps(command)
    def opened(model: str | None, **options: Any) -> None:
        project = Project(project_root())
        name = model or project.params().register_.model_name
        from pipeline.registry.versions import open_registry
        from pipeline.tracking.experiment import refusals

        with refusals():
            command(open_registry(project.root, name), **options)

    return opened


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with all fields.")
@model_option
@click.pass_context
def models(context: click.Context, as_json: bool, model: str | None) -> None:
    """Lists the versions in the model registry; the commands below say more of them."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json, model=model)
    elif as_json or model:
        raise click.UsageError(f"write --model and --json after {context.invoked_subcommand!r}")


@registry_command
def _list(registry: Registry, as_json: bool) -> None:
    from pipeline.registry.versions import describe_versions

    rows = describe_versions(registry.read())
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo(f"{registry.name} has no versions: `make run` registers one")
        return
    table = [
        (
            row["version"],
            ", ".join([*row["aliases"], *["withdrawn"] * row["withdrawn"]]),
            _accuracy(row),
            row["gate"],
            (row["data_version"] or "")[:8],
            (row["commit"] or "")[:8] + "+" * row["uncommitted_changes"],
            row["created"].removesuffix(" UTC"),
            row["user"],
        )
        for row in rows
    ]
    headers = ("version", "aliases", "test accuracy (95 %)", "gate", "data", "commit", "created (UTC)", "by")
    click.echo(tabulate(table, headers, disable_numparse=True))
    click.echo("\n`fashion models show VERSION` prints the model card; --json prints all fields")


def _accuracy(row: dict[str, Any]) -> str:
    if row["accuracy"] is None:
        return "?"
    interval = row["accuracy_lower"], row["accuracy_upper"]
    bounds = "" if None in interval else f" ({interval[0]:.2%} to {interval[1]:.2%})"
    return f"{row['accuracy']:.2%}{bounds}"


@models.command()
@click.argument("version", type=NUMBER)
@registry_command
def show(registry: Registry, version: int) -> None:
    """Prints the model card of a VERSION, and what it is now."""
    from pipeline.registry.versions import read_card, status_line

    click.echo(read_card(registry, version))
    click.echo(status_line(registry, version))


@models.command()
@click.argument("first", type=NUMBER)
@click.argument("second", type=NUMBER)
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Of the images on which they disagree. [default: outputs/models/FIRST-SECOND.png]",
)
@registry_command
def diff(registry: Registry, first: int, second: int, picture: Path | None) -> None:
    """Compares two versions on the test images in data/: metrics, classes, McNemar's test, and a picture."""
    from pipeline.registry.difference import difference, draw_disagreements

    project = Project(project_root())
    params = project.params()
    classes = params.data.classes
    result = difference(registry, first, second, project.data, classes, params.evaluate.batch_size)
    rows = [("accuracy", result["champion_accuracy"], result["accuracy"])]
    rows += [(f"recall, {name}", *recalls) for name, recalls in result["recalls"].items()]
    table = [(name, f"{one:.4f}", f"{two:.4f}", f"{two - one:+.4f}") for name, one, two in rows]
    headers = ("", f"version {first}", f"version {second}", "difference")
    click.echo(tabulate(table, headers, disable_numparse=True))
    click.echo(
        f"\n95 % interval of the difference in accuracy: {result['difference_low']:+.4f} to "
        f"{result['difference_high']:+.4f} (paired bootstrap)\n"
        f"only version {first} is right: {result['champion_only_right']} images, "
        f"only version {second}: {result['only_right']}; exact McNemar test: p = {result['mcnemar_p']:.2g}"
    )
    path = picture or project.root / "outputs" / "models" / f"{first}-{second}.png"
    names = f"v{first}", f"v{second}"
    if result["changed"]:
        changed = draw_disagreements(project.data, result["predicted"], names, classes, path)
        click.echo(f"they disagree on {changed} of {result['images']:,} images: {path}")
    else:
        click.echo("they predict the same for every image")


@models.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@registry_command
def history(registry: Registry, as_json: bool) -> None:
    """Prints every change of champion: when, who, from, to, why."""
    from pipeline.registry.versions import describe_entry

    rows = [describe_entry(entry) for entry in registry.read().state.entries]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    table = [
        (
            row["time"].removesuffix(" UTC"),
            row["by"],
            row["action"],
            row["from"] or "-",
            row["to"] or "-",
            row["reason"] + (f" (version {row['withdrawn']} withdrawn)" if row["withdrawn"] else ""),
        )
        for row in rows
    ]
    headers = ("when (UTC)", "by", "action", "from", "to", "why")
    click.echo(tabulate(table, headers, disable_numparse=True, maxcolwidths=[None] * 5 + [70]))


@models.command()
@registry_command
def reconcile(registry: Registry) -> None:
    """Sets the aliases to what follows from the history, after a crash or a change by hand."""
    before = registry.read().aliases
    state = registry.reconcile()
    wanted = state.aliases
    wrong = [alias for alias in (CHAMPION, CHALLENGER) if before.get(alias) != wanted.get(alias)]
    for alias in wrong:
        click.echo(f"{alias}: version {wanted.get(alias, 'none')}, it was {before.get(alias, 'not set')}")
    if not wrong:
        click.echo("the aliases are right: " + (", ".join(f"{a} {v}" for a, v in wanted.items()) or "none"))


@click.command()
@click.argument("version", type=NUMBER)
@reason_option
@click.option("--force", is_flag=True, help="Even if it did not pass the gate; the history says so.")
@registry_command
def promote(registry: Registry, version: int, reason: str, force: bool) -> None:
    """Makes a VERSION champion, whatever the comparison says: a person's decision."""
    from pipeline.registry import decisions

    click.echo(decisions.promote(registry, version, reason, _user(registry), force).text)


@click.command()
@click.option("--to", type=NUMBER, metavar="VERSION", help="An earlier champion. [default: the last one]")
@reason_option
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@registry_command
def rollback(registry: Registry, to: int | None, reason: str, dry_run: bool) -> None:
    """Withdraws the champion, and makes the one before it champion again.

    The version that was withdrawn is not promoted again by a run, only by `fashion promote`.
    """
    from pipeline.registry import decisions

    change = decisions.rollback(registry, reason, _user(registry), to, dry_run)
    click.echo(change.text + ("; nothing was changed (--dry-run)" if dry_run else ""))


def _user(registry: Registry) -> str:
    from pipeline.tracking.user import user

    return user(registry.client.tracking_uri)
