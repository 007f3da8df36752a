"""The options of the commands that talk to a cluster, and what they make together."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from components.common.errors import ParameterError
from pipeline.kubeflow.definition.image import choose_image
from pipeline.kubeflow.definition.resources import (
    RETRY_WINDOW,
    Cluster,
    check_accelerator,
    parse_label,
    parse_toleration,
)

if TYPE_CHECKING:
    from pipeline.kubeflow.client.api import Kfp

EXPERIMENT = "fashion-mnist"
CPU, MEMORY = r"(\d*\.)?\d+m?", r"\d+([EPTGMK]i?)?"
"""Amounts as Kubernetes writes them, as far as KFP takes them."""
UNITS: dict[str, float] = {"m": 1e-3} | {
    letter + i: base**power
    for power, letter in enumerate(("", *"KMGTPE"))
    for i, base in (("", 1000.0), ("i", 1024.0))
}
GPUS = click.IntRange(0, 1024)
F = TypeVar("F", bound=Callable[..., Any])

_CONNECTION = (
    click.option("--host", metavar="URL", help="KFP's address. [default: KFP_HOST]"),
    click.option("--namespace", help="Where the runs' pods are. [default: kubeflow]"),
    click.option("--experiment", help=f"The KFP experiment. [default: {EXPERIMENT}]"),
    click.option(
        "--token-file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A file that holds a bearer token.",
    ),
)
_DEFAULT = Cluster(image="")
_CLUSTER = (
    click.option("--image", help="By digest or commit. [default: FASHION_IMAGE, or this commit's]"),
    click.option(
        "--gpu",
        "gpus",
        type=GPUS,
        default=_DEFAULT.gpus,
        show_default=True,
        metavar="N",
        help="GPUs of a training pod.",
    ),
    click.option(
        "--accelerator", default=_DEFAULT.accelerator, show_default=True, help="The GPU's resource name."
    ),
    click.option(
        "--node-selector",
        multiple=True,
        metavar="LABEL=VALUE",
        help="Of the training pod's node; none for any node. [default: NVIDIA's label, where there are GPUs]",
    ),
    click.option(
        "--toleration",
        multiple=True,
        metavar="KEY[=VALUE][:EFFECT]",
        help="Of a taint of that node; none for none. [default: the accelerator's, where there are GPUs]",
    ),
    click.option(
        "--cpu",
        default=":".join(_DEFAULT.cpu),
        show_default=True,
        metavar="LEAST[:MOST]",
        help="CPUs of a training pod.",
    ),
    click.option(
        "--memory",
        default=":".join(_DEFAULT.memory),
        show_default=True,
        metavar="LEAST[:MOST]",
        help="Memory of a training pod.",
    ),
    click.option("--shared-memory", default=_DEFAULT.shared_memory, show_default=True, help="Its /dev/shm."),
    click.option(
        "--time-limit",
        type=click.IntRange(1, RETRY_WINDOW),
        default=_DEFAULT.time_limit,
        show_default=True,
        metavar="SECONDS",
        help="After which a training pod is ended.",
    ),
    click.option(
        "--retries",
        type=click.IntRange(0, 100),
        default=_DEFAULT.retries,
        show_default=True,
        help="Of a step whose node was lost.",
    ),
)
_WHAT = (
    click.option(
        "--param", "params", multiple=True, metavar="NAME=VALUE", help="Of an argument, or of params.yaml."
    ),
    click.option(
        "--sweep",
        "candidates",
        multiple=True,
        metavar='"NAME=VALUE ..."',
        help="A candidate of a sweep; may be repeated.",
    ),
    click.option("--no-cache", is_flag=True, help="Run every step anew."),
)
_RUN = (
    *_WHAT,
    click.option("--service-account", help="Of the runs' pods. [default: the server's choice]"),
    click.option("--name", help="What to call it."),
)


def _all(options: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


connection_options = _all(_CONNECTION)
"""Which KFP, and which experiment on it."""
cluster_options = _all(_CLUSTER)
"""What a submission asks the cluster for."""
what_options = _all(_WHAT)
"""What to run, wherever it runs."""
run_options = _all(_RUN)
"""What to run on a cluster."""


def connect(options: dict[str, Any]) -> tuple[Kfp, str]:
    """Takes the connection's options out of a command's, and makes the connection.

    Args:
        options: The command's options. What they do not name, the command's group may have named.

    Returns:
        The server, and the experiment.

    Raises:
        ClusterError: There is no such server, it refuses the token, or has no such namespace.
    """
    from pipeline.kubeflow.client.api import Kfp

    group = click.get_current_context().parent
    above = group.params if group else {}
    names = ("host", "namespace", "token_file", "experiment")
    host, namespace, token_file, experiment = (options.pop(name) or above.get(name) for name in names)
    return Kfp(host or "", namespace or "", token_file), experiment or EXPERIMENT


def cluster_of(options: dict[str, Any]) -> Cluster:
    """Takes the cluster's options out of a command's.

    Raises:
        ParameterError: One of them is none.
    """
    image, gpus = options.pop("image"), options.pop("gpus")
    labels, taints = options.pop("node_selector"), options.pop("toleration")
    return Cluster(
        image=choose_image(image or "", gpus),
        gpus=gpus,
        accelerator=check_accelerator(options.pop("accelerator")),
        node_selector=dict(map(parse_label, _unless_none(labels))) if labels else None,
        tolerations=tuple(map(parse_toleration, _unless_none(taints))) if taints else None,
        cpu=_range("--cpu", options.pop("cpu"), CPU),
        memory=_range("--memory", options.pop("memory"), MEMORY),
        shared_memory=_range("--shared-memory", options.pop("shared_memory"), MEMORY)[0],
        time_limit=options.pop("time_limit"),
        retries=options.pop("retries"),
    )


def _unless_none(values: Sequence[str]) -> Sequence[str]:
    return () if tuple(values) == ("none",) else values


def _range(option: str, text: str, pattern: str) -> tuple[str, str]:
    """Reads `LEAST[:MOST]`; with one amount, that is both."""
    least, colon, most = text.partition(":")
    amounts = (least, most if colon else least)
    example = "for example 500m:4" if pattern == CPU else "for example 4Gi:8Gi"
    for amount in amounts:
        if not re.fullmatch(pattern, amount):
            raise ParameterError(f"{option} {text!r}: {amount!r} is no amount", example)
    if _number(amounts[0]) > _number(amounts[1]):
        raise ParameterError(f"{option} {text!r}: the least is more than the most", example)
    return amounts


def _number(amount: str) -> float:
    digits = re.match(r"[\d.]+", amount)
    size = digits[0] if digits else ""
    return float(size) * UNITS[amount.removeprefix(size)]
