"""The image's name: refused where it does not identify the content."""

import pytest

from components.common.errors import ParameterError
from pipeline.kubeflow.definition.image import check_image


@pytest.mark.parametrize(
    "image", ["", "fashion-pipeline", "fashion-pipeline:latest", "host:5000/fashion", "x@sha256:12"]
)
def test_an_image_whose_name_does_not_identify_its_content_is_refused(image: str):
    with pytest.raises(ParameterError):
        check_image(image)


@pytest.mark.parametrize("image", ["host:5000/fashion:abc", f"fashion@sha256:{'a' * 64}"])
def test_an_image_by_commit_or_digest_is_accepted(image: str):
    assert check_image(image) == image
