"""The container image of the steps: its name must identify its content, since KFP's cache compares names."""

import os
import re

from components.common.errors import ParameterError
from pipeline.git import git_version, is_changed

_IMAGE_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE = (
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?/)?{_IMAGE_PART}(?:/{_IMAGE_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
IMAGE_FILES = (
    *("components", "pipeline", "pyproject.toml", "requirements"),
    *("infra/image/Dockerfile", ".dockerignore"),
)
"""What the image is built from: a change of these that is not committed makes another image."""


def default_image(gpus: int = 0) -> str:
    """FASHION_IMAGE, or the name under which `make image` (with GPUs `make image-gpu`) builds this commit."""
    if named := os.environ.get("FASHION_IMAGE"):
        return named
    commit = git_version().get("mlflow.source.git.commit", "")
    return f"fashion-pipeline:{commit[:12]}{'-gpu' if gpus else ''}" if commit else ""


def choose_image(named: str, gpus: int) -> str:
    """The image `named`, or else FASHION_IMAGE, or else the image of this commit.

    Raises:
        ParameterError: The name does not identify the content, or code changes are not committed.
    """
    image = check_image(named or default_image(gpus))
    of_commit = not named and not os.environ.get("FASHION_IMAGE")
    if of_commit and is_changed(*IMAGE_FILES):
        raise ParameterError(
            f"the code differs from the commit that the image {image} is built from",
            "commit, then `make image`; or name an image that has this code: --image IMAGE",
        )
    return image


def check_image(image: str) -> str:
    """Refuses an image whose name does not identify its content: the cache would serve old results.

    Raises:
        ParameterError: The name is empty or malformed, it has neither tag nor digest, or the tag is `latest`.
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
        raise ParameterError(f"the image {image!r} has no fixed tag", hint)
    if not re.fullmatch(_IMAGE, image):
        raise ParameterError(
            f"{image!r} is not the name of an image",
            "for example registry.example.org/fashion-pipeline:0123456789ab",
        )
    return image
