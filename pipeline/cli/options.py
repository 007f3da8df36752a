"""Options that several commands share, and the objects that they describe."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from components.common.errors import ParameterError
from components.predict.shards import MAX_SHARDS
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.definition.arguments import Batch
from pipeline.kubeflow.definition.image import choose_image
from pipeline.kubeflow.definition.resources import (
    RETRY_WINDOW,
    Cluster,
    check_accelerator,
    check_deployment,
    parse_label,
    parse_toleration,
)

EXPERIMENT = "fashion-mnist"
CPU, MEMORY = r"(\d*\.)?\d+m?", r"\d+([EPTGMK]i?)?"
"""Those quantities of Kubernetes that KFP accepts."""
TRAINING_OPTIONS = ("--sweep", "--gpu", "--accelerator", "--deploy")
BATCH_OPTIONS = ("--to", "--shards", "--parallelism")
"""Options that a batch refuses, and options that belong to a batch."""
GPUS = click.IntRange(0, 1024)
Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Command], Command]


def _cluster_option(flag: str, field: str, **settings: Any) -> Option[Any]:
    """An option whose default is that of a field of `Cluster`."""
    default = getattr(Cluster(image=""), field)
    default = ":".join(default) if isinstance(default, tuple) else default
    return click.option(flag, field, default=default, show_default=True, **settings)


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
_CLUSTER = (
    click.option("--image", help="By digest or commit. [default: FASHION_IMAGE, or this commit's]"),
    _cluster_option("--gpu", "gpus", type=GPUS, metavar="N", help="GPUs of a training pod."),
    _cluster_option("--accelerator", "accelerator", help="The GPU's resource name."),
    click.option(
        "--node-selector",
        multiple=True,
        metavar="LABEL=VALUE",
        help="Of the training pod; none for any node. [default: NVIDIA's label, with GPUs]",
    ),
    click.option(
        "--toleration",
        multiple=True,
        metavar="KEY[=VALUE][:EFFECT]",
        help="Of the training pod; none for no toleration. [default: the accelerator's, with GPUs]",
    ),
    _cluster_option("--cpu", "cpu", metavar="REQUEST[:LIMIT]", help="CPUs of a pod that trains or predicts."),
    _cluster_option("--memory", "memory", metavar="REQUEST[:LIMIT]", help="Memory of such a pod."),
    _cluster_option("--shared-memory", "shared_memory", help="Size of its /dev/shm."),
    _cluster_option(
        "--time-limit",
        "time_limit",
        type=click.IntRange(1, RETRY_WINDOW),
        metavar="SECONDS",
        help="It is ended after this time.",
    ),
    _cluster_option(
        "--deploy",
        "deployment",
        is_flag=False,
        flag_value="fashion/serving",
        metavar="[NAMESPACE/NAME]",
        help="Last, let this Deployment serve the champion; alone: fashion/serving.",
    ),
    _cluster_option(
        "--retries", "retries", type=click.IntRange(0, 100), help="Retries of a step whose node was lost."
    ),
    _cluster_option(
        "--parallelism",
        "parallelism",
        type=click.IntRange(0, MAX_SHARDS),
        metavar="N",
        help="Shards of --batch at the same time; 0: all.",
    ),
)
_PIPELINE = (
    click.option(
        "--param",
        "params",
        multiple=True,
        metavar="NAME=VALUE",
        help="A pipeline argument, or a parameter of params.yaml.",
    ),
    click.option(
        "--sweep",
        "candidates",
        multiple=True,
        metavar='"NAME=VALUE ..."',
        help="A candidate of a sweep; may be repeated.",
    ),
    click.option("--no-cache", is_flag=True, help="Run every step again."),
)
_BATCH = (
    click.option("--batch", metavar="URL", help="Predict the pictures at s3://BUCKET/PREFIX; do not train."),
    click.option("--to", metavar="URL", help="Where the predictions of --batch go, s3://BUCKET/PREFIX."),
    click.option(
        "--shards",
        type=click.IntRange(1, MAX_SHARDS),
        metavar="N",
        help="Pods, and Parquet files, of --batch. [default: 2]",
    ),
)
_SUBMISSION = (
    *_PIPELINE,
    click.option("--service-account", help="Of the runs' pods. [default: the server's choice]"),
    click.option("--name", help="Name of the run or schedule."),
)


def _all(options: Sequence[Option[Any]]) -> Option[Any]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


connection_options = _all(_CONNECTION)
"""Which KFP, and which experiment on it."""
cluster_options = _all(_CLUSTER)
"""What the pods request from the cluster."""
pipeline_options = _all(_PIPELINE)
"""What to run, locally or on a cluster."""
batch_options = _all(_BATCH)
"""Pictures to predict on a cluster."""
submission_options = _all((*_SUBMISSION, *_BATCH))
"""What to run on a cluster."""


def connect(options: dict[str, Any]) -> tuple[Kfp, str]:
    """Connects to KFP; returns its API and the experiment.

    Args:
        options: The command's options, from which those of the connection are removed. An option that is not
            given is taken from the command's group.

    Raises:
        ClusterError: The server cannot be reached, refuses the token, or has no such namespace.
    """
    group = click.get_current_context().parent
    group_options = group.params if group else {}
    names = ("host", "namespace", "token_file", "experiment")
    host, namespace, token_file, experiment = (options.pop(name) or group_options.get(name) for name in names)
    return Kfp(host or "", namespace or "", token_file), experiment or EXPERIMENT


def batch_of(options: dict[str, Any]) -> Batch | None:
    """The batch, from a command's options, from which its own are removed; None without --batch.

    Predicting needs no GPU: with --batch, `gpus` becomes 0.

    Raises:
        UsageError: Options do not go together.
        ParameterError: A URL is wrong.
    """
    images, predictions, shards = (options.pop(name) for name in ("batch", "to", "shards"))
    if images is None:
        if given := _given(BATCH_OPTIONS):
            raise click.UsageError(f"{given} cannot be given without --batch")
        return None
    if predictions is None:
        raise click.UsageError("--batch needs --to, where the predictions go")
    if given := _given(TRAINING_OPTIONS):
        raise click.UsageError(f"{given} cannot be given with --batch, which trains nothing")
    options["gpus"] = 0
    return Batch(images, predictions, shards or 2)


def _given(flags: Sequence[str]) -> str:
    """Those of the options that the command line has, joined by "and"."""
    context = click.get_current_context()
    return " and ".join(
        option.opts[0]
        for option in context.command.params
        if option.opts[0] in flags
        and context.get_parameter_source(option.name or "") == ParameterSource.COMMANDLINE
    )


def cluster_of(options: dict[str, Any]) -> Cluster:
    """What the pods request, from a command's options, from which those of the cluster are removed.

    Raises:
        ParameterError: An option has an invalid value.
    """
    image, gpus = options.pop("image"), options.pop("gpus")
    labels, tolerations = options.pop("node_selector"), options.pop("toleration")
    return Cluster(
        image=choose_image(image or "", gpus),
        gpus=gpus,
        accelerator=check_accelerator(options.pop("accelerator")),
        node_selector=dict(map(parse_label, _without_none(labels))) if labels else None,
        tolerations=tuple(map(parse_toleration, _without_none(tolerations))) if tolerations else None,
        cpu=_request_and_limit("--cpu", options.pop("cpu"), CPU),
        memory=_request_and_limit("--memory", options.pop("memory"), MEMORY),
        shared_memory=_request_and_limit("--shared-memory", options.pop("shared_memory"), MEMORY)[0],
        time_limit=options.pop("time_limit"),
        retries=options.pop("retries"),
        deployment=check_deployment(options.pop("deployment")),
        parallelism=options.pop("parallelism"),
    )


def _without_none(values: Sequence[str]) -> Sequence[str]:
    return () if tuple(values) == ("none",) else values


def _request_and_limit(option: str, text: str, pattern: str) -> tuple[str, str]:
    """Reads `REQUEST[:LIMIT]`; a single quantity is both."""
    from kubernetes.utils.quantity import parse_quantity

    request, colon, limit = text.partition(":")
    quantities = (request, limit if colon else request)
    example = "for example 500m:4" if pattern == CPU else "for example 4Gi:8Gi"
    for quantity in quantities:
        if not re.fullmatch(pattern, quantity):
            raise ParameterError(f"{option} {text!r}: {quantity!r} is no quantity", example)
    if parse_quantity(quantities[0]) > parse_quantity(quantities[1]):
        raise ParameterError(f"{option} {text!r}: the request is more than the limit", example)
    return quantities
