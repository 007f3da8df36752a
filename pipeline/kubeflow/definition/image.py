"""The image of the steps, whose name identifies its content."""

import os
import re

from components.common.errors import ParameterError
from pipeline.git import git_version, is_changed

_IMAGE_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
IMAGE = (
    rf"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?/)?{_IMAGE_PART}(?:/{_IMAGE_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
IMAGE_FILES = (
    "components",
    "pipeline",
    "pyproject.toml",
    "requirements",
    "infra/image/Dockerfile",
    ".dockerignore",
)
"""The files that an image is built from."""


def default_image(gpus: int = 0) -> str:
    """FASHION_IMAGE, or the name that `make image` (with GPUs `make image-gpu`) gives this commit's image."""
    named = os.environ.get("FASHION_IMAGE")
    if named:
        return named
    commit = git_version().get("mlflow.source.git.commit", "")
    return f"fashion-pipeline:{commit[:12]}{'-gpu' if gpus else ''}" if commit else ""


def choose_image(named: str, gpus: int) -> str:
    """The named image, or FASHION_IMAGE, or this commit's.

    Raises:
        ParameterError: The name does not identify the content, or the code has uncommitted changes.
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
    """Refuses an image whose name does not identify its content: KFP's cache would serve old results.

    Raises:
        ParameterError: The name is empty or malformed, has no tag, or the tag is `latest`.
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
