"""From any picture to the image that the model was trained on.

The steps are those by which the data set was made (Xiao et al. 2017, "Fashion-MNIST", section 2): trim,
resize the longest edge, sharpen, extend the shortest edge, negate, gray. Its pictures had a white background;
here it may have any colour.
"""

from __future__ import annotations

import warnings
from datetime import date, datetime
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

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
Pixels = npt.NDArray[np.float32]


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

    A picture of exactly that size is taken for an image of the data set, or its negative.

    Raises:
        DataError: The picture is of one colour.
    """
    colours = _colours(picture)
    background, spread = _background(colours)
    different = np.abs(colours - background).max(axis=2) > max(CLOSENESS, spread)
    gray = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    left, top, right, bottom = _box(different)
    if gray.shape == (height, width):
        border = _border(gray)
        light = np.count_nonzero(border > 255 - CLOSENESS) > np.count_nonzero(border < CLOSENESS)
        return np.rint(255 - gray if light else gray).astype(np.uint8)
    ground = float(gray[~different].mean())
    garment = gray[top:bottom, left:right] - ground
    if -garment[garment < 0].sum() > garment[garment > 0].sum():  # it is darker than the background
        garment = -garment
    garment *= 255 / max(ground, 255 - ground)
    garment[garment < spread] = 0
    return _fitted(garment, height, width)


def _fitted(garment: Pixels, height: int, width: int) -> Bytes:
    """Resizes the longest edge, sharpens what became smaller, and extends the shortest edge."""
    from PIL import Image
    from scipy.ndimage import gaussian_filter

    scale = min(height / garment.shape[0], width / garment.shape[1])
    rows, columns = (max(1, round(scale * edge)) for edge in garment.shape)
    small = np.asarray(Image.fromarray(garment).resize((columns, rows), Image.Resampling.LANCZOS))
    if scale < 1:
        small = 2 * small - gaussian_filter(small, sigma=1.0, radius=1, mode="nearest")
    top, left = (
        (height - rows + 1) // 2,
        (width - columns + 1) // 2,
    )  # the odd row is above, as in the data set
    output = np.zeros((height, width), np.uint8)
    output[top : top + rows, left : left + columns] = np.rint(small.clip(0, 255))
    return output


def _colours(picture: Image) -> Pixels:
    """The colours of a smaller copy, float32 `(height, width, 3)` in 0..255.

    What is transparent becomes white, or black where nothing would be visible on white.
    """
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


def _border(pixels: Pixels) -> Pixels:
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def _background(colours: Pixels) -> tuple[Pixels, float]:
    """The commonest colour of the border, `(3,)`, and how far the colours near it spread (texture)."""
    border = _border(colours)
    bins = (border // 32).astype(int) @ (64, 8, 1)
    colour = np.median(border[bins == np.bincount(bins).argmax()], axis=0)
    distance = np.abs(border - colour).max(axis=1)
    return colour, 3 * float(np.median(distance[distance < 3 * CLOSENESS]))


def _box(different: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what differs from the background, without threads of its texture."""
    from scipy.ndimage import binary_opening

    if max(different.shape) > WORKING_EDGE // 2:
        different = binary_opening(different, np.ones((3, 3)))
    rows, columns = (np.flatnonzero(different.mean(axis=axis) > 0.01) for axis in (1, 0))
    if not len(rows) or not len(columns):
        raise DataError("of one colour: there is nothing to see", "give a picture of a garment")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
