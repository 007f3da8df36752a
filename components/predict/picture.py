"""From any picture to the image that the model was trained on.

The steps are those by which the data set was made (Xiao et al. 2017, "Fashion-MNIST", section 2): trim,
resize the longest edge, extend the shortest, negate, gray. Its pictures had a white background; here it may
have any colour.
"""

from __future__ import annotations

import warnings
from datetime import date, datetime
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from components.common.errors import DataError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image

    from components.common.idx import Bytes

MAX_BYTES = 50 << 20
"""Larger files are refused."""
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "BMP", "TIFF")
"""Formats that are read where Pillow can; it would start other programs for some that are not listed."""
WORKING_EDGE = 8 * 28
"""The longest edge of the copy in which background and garment are told apart."""
CLOSENESS = 0.05 * 255
"""A colour so far from the background's, in each channel, still counts as background (Xiao et al.)."""
_HINT = "give a picture as JPEG, PNG, WebP, GIF, BMP or TIFF (HEIC with the package pillow-heif)"


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that can be read here."""
    from PIL import Image

    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        pass
    else:
        register_heif_opener()
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # read_picture raises an error instead
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def read_picture(content: bytes) -> Image:
    """Decodes the first frame of a picture and turns it upright, as its EXIF data say.

    Args:
        content: The file's bytes.

    Raises:
        DataError: It is no picture, is damaged, or is too large.
    """
    formats = _formats()
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not content:
        raise DataError("empty file", _HINT)
    if len(content) > MAX_BYTES:
        raise DataError(f"more than {MAX_BYTES >> 20} MiB", "make it smaller")
    limit = Image.MAX_IMAGE_PIXELS
    try:
        with Image.open(BytesIO(content), formats=formats) as picture:
            if limit and picture.width * picture.height > limit:
                raise Image.DecompressionBombError
            picture.draft("RGB", (WORKING_EDGE, WORKING_EDGE))  # a JPEG is decoded at a smaller scale
            return ImageOps.exif_transpose(picture)
    except Image.DecompressionBombError:
        raise DataError(f"more than {limit or 0:,} pixels", "make it smaller") from None
    except UnidentifiedImageError:
        raise DataError("no picture, or of an unknown format", _HINT) from None
    except MemoryError:
        raise DataError("too large for the memory", "make it smaller") from None
    except Exception as error:  # a decoder fails in many ways on damaged data
        raise DataError(f"damaged: {first_line(error)}", _HINT) from None


def date_taken(picture: Image) -> date | None:
    """The day on which a photograph was taken, by its EXIF data."""
    from PIL import ExifTags

    value = picture.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    try:
        return datetime.strptime(str(value)[:10], "%Y:%m:%d").date()
    except ValueError:
        return None


def to_input(picture: Image, height: int, width: int) -> Bytes:
    """A picture as the model's input, uint8 `(height, width)`: the garment centred on black.

    Raises:
        DataError: The picture is of one colour.
    """
    from PIL import Image

    if picture.size == (width, height) and picture.mode == "L":
        gray = np.asarray(picture)
        border = np.concatenate([gray[0], gray[-1], gray[1:-1, 0], gray[1:-1, -1]])
        if np.count_nonzero(border < CLOSENESS) >= np.count_nonzero(border > 255 - CLOSENESS):
            return gray.copy()
    colours = _on_background(picture)
    background, spread = _background(colours)
    box = _garment(np.abs(colours - background).max(axis=2) > max(CLOSENESS, spread))
    if box is None:
        raise DataError("of one colour: there is nothing to see", "give a picture of a garment")
    left, top, right, bottom = box
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    ground = float(background @ weights)
    signed = colours[top:bottom, left:right] @ weights - ground
    if -signed[signed < 0].sum() > signed[signed > 0].sum():  # the garment is darker than the background
        signed = -signed
    signed *= 255 / max(ground, 255 - ground)
    signed[signed < spread] = 0
    scale = min(height / (bottom - top), width / (right - left))
    size = (max(1, round(scale * (right - left))), max(1, round(scale * (bottom - top))))
    small = np.asarray(Image.fromarray(signed).resize(size, Image.Resampling.BOX))
    output = np.zeros((height, width), np.uint8)
    y, x = (height - size[1]) // 2, (width - size[0]) // 2
    output[y : y + size[1], x : x + size[0]] = np.rint(small.clip(0, 255))
    return output


def _on_background(picture: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The colours of a smaller copy, float32 `(height, width, 3)` in 0..255."""
    from PIL import Image

    if picture.mode.startswith(("I", "F")):  # 16 bits, or 32: Pillow would cut off what is above 255
        values = np.nan_to_num(np.asarray(picture, np.float32))
        top = next(limit for limit in (1, 255, 65535, np.inf) if values.max() <= limit)
        picture = Image.fromarray((values.clip(0) * (255 / min(top, max(values.max(), 1)))).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        for colour in ("white", "black"):
            ground = Image.new("RGBA", picture.size, colour)
            ground.alpha_composite(picture)
            if np.ptp(np.asarray(ground.convert("L"))) > CLOSENESS:
                break
        picture = ground
    picture = picture.convert("RGB")
    picture.thumbnail((WORKING_EDGE, WORKING_EDGE), Image.Resampling.BOX)
    return np.asarray(picture, np.float32)


def _background(colours: np.ndarray) -> tuple[np.ndarray, float]:
    """The commonest colour of the border, and how far the border's colours spread around it."""
    border = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]])
    bins = (border // 32).astype(int) @ (64, 8, 1)
    colour = np.median(border[bins == np.bincount(bins).argmax()], axis=0)
    distance = np.abs(border - colour).max(axis=1)
    near = distance[distance < 3 * CLOSENESS]
    return colour, 3 * float(np.median(near))


def _garment(different: np.ndarray) -> tuple[int, int, int, int] | None:
    """The box (left, top, right, bottom) around what differs from the background; None if nothing does."""
    rows, columns = (np.flatnonzero(different.mean(axis=axis) > 0.01) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
