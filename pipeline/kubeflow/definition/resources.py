"""What a pipeline asks of the cluster: image, GPUs, nodes, memory, retries. None of it changes a result."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from components.common.errors import ParameterError

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"(?=.{1,253}/)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*/"
RESOURCE, LABEL_KEY, LABEL_VALUE = f"{_DOMAIN}{_NAME}", f"(?:{_DOMAIN})?{_NAME}", f"(?:{_NAME})?"
"""Regular expressions of names that Kubernetes accepts."""
RETRY_WINDOW = 7 * 24 * 60 * 60
"""Seconds since the first start of a step after which it is neither retried nor left running.

KFP calls it `backoff_max_duration`.
"""
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@dataclass(frozen=True)
class Toleration:
    """A toleration of the training pod: of a taint with this value, or with any value if it is empty."""

    key: str
    value: str = ""
    effect: Effect | None = None


@dataclass(frozen=True)
class Cluster:
    """What a submission asks the cluster for. Nodes, CPU, memory and time are of pods that train or predict.

    Args:
        image: The project's image, by digest or by a tag that never moves: the cache compares its name.
        gpus: GPUs; 0 for a cluster without.
        accelerator: The resource that the GPU node advertises.
        node_selector: Labels of the node. None: NVIDIA's own label where there are GPUs.
        tolerations: Taints that are tolerated. None: the accelerator's where there are GPUs.
        cpu: Request and limit, for example `500m`.
        memory: Request and limit, for example `4Gi`.
        shared_memory: Size of `/dev/shm`, which counts as memory.
        time_limit: Seconds after which the pod is ended.
        retries: How often a step is retried after its node was lost.
        backoff: Seconds before the first retry; doubled for each further one.
        deployment: NAMESPACE/NAME of the Deployment that a last step rolls to the champion; empty for none.
        parallelism: How many shards of a batch are predicted at the same time; 0 for all.
    """

    image: str
    gpus: int = 1
    accelerator: str = "nvidia.com/gpu"
    node_selector: dict[str, str] | None = None
    tolerations: tuple[Toleration, ...] | None = None
    cpu: tuple[str, str] = ("1", "8")
    memory: tuple[str, str] = ("3Gi", "8Gi")
    shared_memory: str = "1Gi"
    time_limit: int = 4 * 60 * 60
    retries: int = 2
    backoff: int = 10
    deployment: str = ""
    parallelism: int = 0

    @property
    def selector(self) -> dict[str, str]:
        """Labels of the training pod's node."""
        if self.node_selector is not None:
            return self.node_selector
        return {"nvidia.com/gpu.present": "true"} if self.gpus else {}

    @property
    def tolerated(self) -> tuple[Toleration, ...]:
        """Taints that the training pod tolerates."""
        if self.tolerations is not None:
            return self.tolerations
        return (Toleration(self.accelerator),) if self.gpus else ()


def check_accelerator(text: str) -> str:
    """Returns the name of a node's resource.

    Raises:
        ParameterError: Kubernetes does not accept the name.
    """
    if not re.fullmatch(RESOURCE, text):
        raise ParameterError(
            f"the accelerator {text!r} is not the name of a resource", "for example nvidia.com/gpu"
        )
    return text


def check_deployment(text: str) -> str:
    """Returns `NAMESPACE/NAME`, or the empty text.

    Raises:
        ParameterError: The text has another format.
    """
    name = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    if text and not re.fullmatch(f"{name}/{name}", text):
        raise ParameterError(f"the Deployment {text!r} is not NAMESPACE/NAME", "for example fashion/serving")
    return text


def parse_toleration(text: str) -> Toleration:
    """Parses `KEY[=VALUE][:EFFECT]`, as kubectl writes a taint.

    Raises:
        ParameterError: The text has another format.
    """
    found = re.fullmatch(rf"({LABEL_KEY})(?:=({LABEL_VALUE}))?(?::(\w+))?", text)
    if not found or found[3] not in (None, *get_args(Effect)):
        raise ParameterError(
            f"the toleration {text!r} is not KEY[=VALUE][:EFFECT]",
            f"for example nvidia.com/gpu=present:NoSchedule; effects are {', '.join(get_args(Effect))}",
        )
    return Toleration(found[1], found[2] or "", found[3])  # type: ignore[arg-type]


def parse_label(text: str) -> tuple[str, str]:
    """Parses `KEY=VALUE`, a label of a node.

    Raises:
        ParameterError: The text has another format.
    """
    key, sign, value = text.partition("=")
    if not (sign and re.fullmatch(LABEL_KEY, key) and re.fullmatch(LABEL_VALUE, value)):
        raise ParameterError(
            f"the node selector {text!r} is not a label KEY=VALUE", "for example nvidia.com/gpu.present=true"
        )
    return key, value
