"""From any picture to the image that the model was trained on."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from components.common.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

    from components.common.idx import Bytes


def read_picture(content: bytes, name: str) -> Image:
    """Decodes a picture.

    Args:
        content: The file's bytes.
        name: Of the file, for the message.

    Raises:
        DataError: It is no picture, is damaged, or is too large.
    """
    from PIL import Image

    try:
        with Image.open(BytesIO(content)) as picture:
            picture.load()
            return picture
    except Exception as error:
        raise DataError(f"{name} cannot be read: {error}", "give a JPEG, PNG or WebP") from None


def to_input(picture: Image, height: int, width: int) -> Bytes:
    """A picture as the model's input, uint8 `(height, width)`."""
    return np.asarray(picture.convert("L").resize((width, height)), np.uint8)
