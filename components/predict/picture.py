"""From any picture to the image that the model was trained on.

The steps are those by which the data set was made (Xiao et al. 2017, "Fashion-MNIST", section 2): trim,
resize the longest edge, sharpen, extend the shortest edge, negate, gray. Its pictures had a white background;
here it may have any colour.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
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
TOO_LARGE = "too large for the memory"
MAX_PIXELS = 50_000_000
"""Pictures with more are refused; the largest photographs of most phones have as many."""
LARGE = 16_000_000
"""Of pictures with more pixels to unpack, one at a time is in memory."""
FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "GIF", "BMP", "TIFF")
"""Formats that are read where Pillow can; it would start other programs for some that are not listed."""
WORKING_EDGE = 8 * 28
"""The longest edge of the copy in which background and garment are told apart."""
CLOSENESS = 0.05 * 255
"""A colour so far from the background's, in each channel, still counts as background (Xiao et al.)."""
FIRST_YEAR = 1995
"""The year of the first EXIF standard: an earlier date is that of a clock that was never set."""
_large = ThreadPoolExecutor(1)
"""A thread of its own, not a lock: the C library keeps freed memory for the thread that had it."""
_HINT = "give a picture as JPEG, PNG, WebP, GIF, BMP or TIFF (HEIC with the package pillow-heif)"
MOSTLY_OPAQUE = 0.99
"""With a smaller share of opaque pixels, the garment was cut out; round corners have a larger one."""
RIM = 2
"""How much the rim of a cut-out garment counts, compared with its brightness. Chosen on train images."""
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
    """Decodes the first frame of a picture, makes it small, and turns it upright, as its EXIF data say.

    Args:
        content: The file's bytes.

    Returns:
        The picture; its longest edge is at most about four times `WORKING_EDGE`.

    Raises:
        DataError: It is no picture, is damaged, or is too large.
    """
    formats = _formats()
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise DataError("empty file", _HINT)
    if len(content) > MAX_BYTES:
        raise DataError(f"more than {MAX_BYTES >> 20} MiB", "make it smaller")
    too_large = DataError(f"more than {MAX_PIXELS:,} pixels", "make it smaller")
    try:
        with Image.open(BytesIO(content), formats=formats) as picture:
            pixels = picture.width * picture.height
            if pixels > MAX_PIXELS:
                raise too_large
            picture.draft("RGB", (WORKING_EDGE, WORKING_EDGE))  # a JPEG is decoded at a smaller scale
            if "progressive" not in picture.info:  # such a JPEG is unpacked as a whole all the same
                pixels = picture.width * picture.height
            return _large.submit(_upright, picture).result() if pixels > LARGE else _upright(picture)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise too_large from None
    except UnidentifiedImageError:
        raise DataError("no picture, or of an unknown format", _HINT) from None
    except MemoryError:
        raise DataError(TOO_LARGE, "make it smaller") from None
    except Exception as error:  # a decoder fails in many ways on damaged data
        raise DataError(f"damaged: {first_line(error)}", _HINT) from None


def _upright(picture: Image) -> Image:
    """A small copy of a picture, turned upright."""
    from PIL import ImageOps

    picture.load()
    with suppress(Exception):  # damaged EXIF data: it stays as it is
        ImageOps.exif_transpose(picture, in_place=True)
    factor = max(picture.size) // (2 * WORKING_EDGE)
    if factor < 2:
        return picture.copy()
    if picture.has_transparency_data and picture.mode not in {"RGBA", "RGBa", "LA", "La"}:
        picture = picture.convert("RGBA")
    elif picture.mode in {"1", "P"}:
        picture = picture.convert("RGB")
    elif picture.mode.startswith("I;16"):
        picture = picture.convert("I")
    return picture.reduce(factor)


def date_taken(picture: Image) -> date | None:
    """The day on which a photograph was taken, by its EXIF data."""
    from PIL import ExifTags

    try:
        value = picture.getexif().get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        day = datetime.strptime(str(value)[:10], "%Y:%m:%d").date()
    except Exception:  # there is none, or the EXIF data are damaged
        return None
    return day if day.year >= FIRST_YEAR else None


def to_input(picture: Image, height: int, width: int) -> Bytes:
    """A picture as the model's input, uint8 `(height, width)`: the garment centred on black.

    A picture of exactly that size whose border is black or white is taken for an image of the data set, or
    its negative. Of a picture with transparent parts, the others are the garment.

    Raises:
        DataError: The picture is of one colour.
    """
    pixels = _pixels(picture)
    colours, alpha = pixels[..., :3], pixels[..., 3] / np.float32(255)
    gray = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    opaque = alpha > 0.5
    spread = 0.0
    if opaque.mean() < MOSTLY_OPAQUE:
        left, top, right, bottom = _box(opaque)
        ground = _ground_of_cut_out(gray, opaque)
    else:
        background, spread = _background(colours)
        different = np.abs(colours - background).max(axis=2) > max(CLOSENESS, spread)
        left, top, right, bottom = _box(different)
        if gray.shape == (height, width):
            border = _border(gray)
            light, dark = (np.mean(near) for near in (border > 255 - CLOSENESS, border < CLOSENESS))
            if max(light, dark) > 0.5:
                return np.rint(255 - gray if light > dark else gray).astype(np.uint8)
        ground = float(gray[~different].mean())
    garment: Pixels = ((gray - np.float32(ground)) * alpha)[top:bottom, left:right]
    if -garment[garment < 0].sum() > garment[garment > 0].sum():  # it is darker than the background
        garment = -garment
    garment *= 255 / max(ground, 255 - ground)
    garment[garment < spread] = 0
    return _fitted(garment, height, width)


def _ground_of_cut_out(gray: Pixels, opaque: npt.NDArray[np.bool_]) -> float:
    """White or black: what a garment stands out from, or what it was cut from, as the rim still shows."""
    from scipy.ndimage import binary_erosion

    inside = binary_erosion(opaque, np.ones((3, 3)))
    rim = gray[opaque & ~inside].mean() - gray[inside].mean() if inside.any() else 0.0
    return 255.0 if 127.5 - gray[opaque].mean() + RIM * rim > 0 else 0.0


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


def _pixels(picture: Image) -> Pixels:
    """Colours and opacity of a smaller copy, float32 `(height, width, 4)` in 0..255."""
    from PIL import Image

    if picture.mode.startswith(("I", "F")):  # 16 bits, or 32: Pillow would cut off what is above 255
        values = np.nan_to_num(np.asarray(picture, np.float32)).clip(0)
        most = float(values.max())
        top = next((limit for limit in (1, 255, 65535) if most <= limit), most)
        picture = Image.fromarray((values * (255 / top)).astype(np.uint8))
    picture = picture.convert("RGBA")
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

    if min(different.shape) > WORKING_EDGE // 8:  # else the garment may be as thin as a thread
        different = binary_opening(different, np.ones((3, 3)))
    rows, columns = (np.flatnonzero(different.mean(axis=axis) > 0.01) for axis in (1, 0))
    if not len(rows) or not len(columns):
        raise DataError("of one colour: there is nothing to see", "give a picture of a garment")
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
