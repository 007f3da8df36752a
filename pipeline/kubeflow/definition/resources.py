"""Where and on what a pipeline runs: the settings of a submission, none of which changes a result."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from components.common.errors import ParameterError
from pipeline.git import git_version, is_changed

CONFIG_MAP, SECRET = "fashion-config", "fashion-storage"
"""What the steps' pods take their environment from."""
CONFIG_KEYS = ("MLFLOW_TRACKING_URI", "FASHION_STATE_URL", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
SECRET_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_DOMAIN = r"(?=.{1,253}/)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*/"
RESOURCE, LABEL_KEY, LABEL_VALUE = f"{_DOMAIN}{_NAME}", f"(?:{_DOMAIN})?{_NAME}", f"(?:{_NAME})?"
"""Names as Kubernetes takes them."""
_IMAGE_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
IMAGE = (
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?/)?{_IMAGE_PART}(?:/{_IMAGE_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
RETRY_WINDOW = 7 * 24 * 60 * 60
"""Seconds since its first start after which a step is neither retried nor left running.

It is KFP's `backoff_max_duration`, whose name misleads.
"""
IMAGE_FILES = (
    "components",
    "pipeline",
    "pyproject.toml",
    "requirements",
    "infra/image/Dockerfile",
    ".dockerignore",
)
"""What an image is made of: where one of these is not as committed, it is not the commit's image."""
Effect = Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


@dataclass(frozen=True)
class Toleration:
    """A taint that the training pod tolerates; with no value, whatever the taint's value is."""

    key: str
    value: str = ""
    effect: Effect | None = None


@dataclass(frozen=True)
class Cluster:
    """What a submission asks the cluster for.

    Args:
        image: The project's image, by digest or by a tag that never moves: the cache goes by its name.
        gpus: GPUs of a training pod; 0 for a cluster without.
        accelerator: The resource that the GPU node advertises.
        node_selector: Labels of the training pod's node. None: NVIDIA's own label where there are GPUs.
        tolerations: Taints that the training pod tolerates. None: the accelerator's where there are GPUs.
        cpu: CPUs that a training pod asks for, and how many it may use.
        memory: Memory that a training pod asks for, and how much it may use, for example `4Gi`.
        shared_memory: Size of a training pod's `/dev/shm`, which counts as its memory.
        time_limit: Seconds after which a training pod is ended.
        retries: How often a step is tried again after its node was lost.
        backoff: Seconds before the first retry; doubled for each further one; none after a week.
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
    config_map: str = field(default=CONFIG_MAP)
    secret: str = field(default=SECRET)

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


def default_image(gpus: int = 0) -> str:
    """FASHION_IMAGE, or the name under which `make image` (with GPUs `make image-gpu`) builds this commit."""
    named = os.environ.get("FASHION_IMAGE")
    if named:
        return named
    commit = git_version().get("mlflow.source.git.commit", "")
    return f"fashion-pipeline:{commit[:12]}{'-gpu' if gpus else ''}" if commit else ""


def choose_image(named: str, gpus: int) -> str:
    """The image that is named, or FASHION_IMAGE, or this commit's, where the code is this commit's.

    Raises:
        ParameterError: The name does not tell the content, or the commit's image has other code.
    """
    image = check_image(named or default_image(gpus))
    own = not named and not os.environ.get("FASHION_IMAGE")
    if own and is_changed(*IMAGE_FILES):
        raise ParameterError(
            f"the code differs from the commit of which {image} is the image",
            "commit, then `make image`; or name an image that has this code: --image IMAGE",
        )
    return image


def check_image(image: str) -> str:
    """Refuses an image whose name does not tell its content: the cache would serve old results.

    Raises:
        ParameterError: There is no name, it is none, it has no tag, or the tag is `latest`.
    """
    hint = "name it by commit or digest: --image REGISTRY/fashion-pipeline:COMMIT (`make image` prints it)"
    if not image:
        raise ParameterError("there is no image: this is not a git repository", hint)
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise ParameterError(f"the image {image!r} has no digest like sha256:<64 hex digits>", hint)
    elif tag in ("", "latest"):
        raise ParameterError(f"the image {image!r} has no tag that stays what it is", hint)
    if not re.fullmatch(IMAGE, image):
        raise ParameterError(
            f"{image!r} is no name of an image",
            "for example registry.example.org/fashion-pipeline:0123456789ab",
        )
    return image


def check_accelerator(text: str) -> str:
    """Refuses what is no resource of a node.

    Raises:
        ParameterError: It is none.
    """
    if not re.fullmatch(RESOURCE, text):
        raise ParameterError(f"the accelerator {text!r} is no resource's name", "for example nvidia.com/gpu")
    return text


def parse_toleration(text: str) -> Toleration:
    """Reads `KEY[=VALUE][:EFFECT]`, as kubectl writes a taint.

    Raises:
        ParameterError: It is none.
    """
    found = re.fullmatch(rf"({LABEL_KEY})(?:=({LABEL_VALUE}))?(?::(\w+))?", text)
    if not found or found[3] not in (None, *get_args(Effect)):
        raise ParameterError(
            f"the toleration {text!r} is not KEY[=VALUE][:EFFECT]",
            f"for example nvidia.com/gpu=present:NoSchedule; effects are {', '.join(get_args(Effect))}",
        )
    return Toleration(found[1], found[2] or "", found[3])  # type: ignore[arg-type]


def parse_label(text: str) -> tuple[str, str]:
    """Reads `KEY=VALUE`, a label of a node.

    Raises:
        ParameterError: It is none.
    """
    key, sign, value = text.partition("=")
    if not (sign and re.fullmatch(LABEL_KEY, key) and re.fullmatch(LABEL_VALUE, value)):
        raise ParameterError(
            f"the node selector {text!r} is no label KEY=VALUE", "for example nvidia.com/gpu.present=true"
        )
    return key, value
