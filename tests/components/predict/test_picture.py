"""Any picture becomes what the model was trained on: the same image, as far as its making allows."""

import io
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from benchmarks.pictures import SHOTS, agreement, shoot
from components.common import idx
from components.common.errors import DataError
from components.predict.picture import date_taken, read_picture, to_input
from pipeline.params import Params
from pipeline.registry.champion import load_champion
from tests.support.pictures import png
from tests.support.project import Project

SQUARE = np.zeros((28, 28), np.uint8)
SQUARE[4:24, 4:24] = 200


@pytest.fixture(scope="module")
def images(real_data: Path) -> idx.Bytes:
    """Train images of all classes."""
    return idx.read_split(real_data, "train")[0][:30]


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def large(picture: Image.Image) -> Image.Image:
    return picture.resize((280, 280), Image.Resampling.NEAREST)


def seen(content: bytes) -> idx.Bytes:
    return to_input(read_picture(content), 28, 28)


def test_an_image_of_the_data_set_and_its_negative_are_taken_as_they_are(images: idx.Bytes):
    for image in images:
        np.testing.assert_array_equal(seen(png(image)), image)
        np.testing.assert_array_equal(seen(png(255 - image)), image)


@pytest.mark.usefixtures("restored_environment")
def test_nine_of_ten_pictures_are_predicted_as_their_originals(
    trained: Project, subset_params: Params, images: idx.Bytes
):
    model = load_champion(trained.root, subset_params)
    shots = [name for name in SHOTS if name.startswith(("on light", "cut", "JPEG", "coloured,"))]
    assert len(shots) == 6

    found = {name: agreement(model, images, SHOTS[name]) for name in shots}

    assert min(found.values()) >= 0.9, found


def test_a_garment_is_cut_out_fitted_and_centred_with_the_odd_row_above():
    ground = np.full((300, 500), 255, np.uint8)
    ground[50:250, 100:150] = 55  # 200 high, 50 wide: 28 x 7

    image = seen(png(ground))

    assert (image[:, 11:18] > 150).all()
    assert not image[:, :11].any()
    assert not image[:, 18:].any()


def test_a_belt_becomes_a_line():
    ground = np.full((5020, 120), 255, np.uint8)
    ground[10:-10, 10:-10] = 0

    image = seen(png(ground))

    assert image.any(axis=1).all()
    assert np.flatnonzero(image.any(axis=0)).tolist() == [14]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_a_picture_upright(orientation: int):
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    upright = Image.fromarray(SQUARE.copy())
    upright.paste(0, (4, 4, 12, 16))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    picture = upright if stored is None else upright.transpose(stored)

    np.testing.assert_array_equal(seen(saved(picture, exif=exif)), np.asarray(upright))


def test_modes_of_pictures_show_the_same():
    expected = seen(png(255 - SQUARE.repeat(10, 0).repeat(10, 1)))
    assert (expected == 200).any()
    gray = large(Image.fromarray(255 - SQUARE))
    clear = Image.new("RGBA", gray.size, (255, 0, 0, 0))
    clear.paste(
        gray.convert("RGBA"), mask=large(Image.fromarray(SQUARE)).point(lambda value: 255 * (value > 0))
    )
    contents = {
        "RGB": saved(gray.convert("RGB")),
        "CMYK": saved(gray.convert("CMYK"), "TIFF"),
        "palette": saved(gray.convert("P"), "GIF"),
        "16 bits": saved(Image.fromarray(np.asarray(gray, np.uint16) * 257)),
        "32 bits": saved(Image.fromarray(np.asarray(gray, np.float32) / 255), "TIFF"),
        "transparent": saved(clear),
        "gray with alpha": saved(clear.convert("LA")),
        "animated": saved(gray, "GIF", save_all=True, append_images=[Image.new("L", gray.size)]),
        "WebP": saved(gray, "WEBP", lossless=True),
    }
    for name, content in contents.items():
        difference = np.abs(seen(content).astype(int) - expected).max()
        assert difference <= 2, (name, difference)


def test_white_on_transparent_is_visible():
    white = Image.new("LA", (280, 280), (255, 0))
    white.paste((255, 255), (100, 40, 180, 240))

    assert np.count_nonzero(seen(saved(white)) == 255) == 28 * 11


def test_heic(images: idx.Bytes):
    heif = pytest.importorskip("pillow_heif")
    picture = read_picture(shoot(images[0], SHOTS["padded"], np.random.default_rng(1)))
    file = io.BytesIO()
    heif.from_pillow(picture).save(file, quality=90)

    difference = seen(file.getvalue()).astype(int) - to_input(picture, 28, 28)

    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (png(SQUARE)[:-30], "damaged"),
        (png(np.full((90, 90), 7, np.uint8)), "one colour"),
        (png(np.full((1, 9000), 7, np.uint8)), "one colour"),
        (bytes((50 << 20) + 1), "more than 50 MiB"),
    ],
)
def test_what_is_no_picture_is_refused(content: bytes, reason: str):
    with pytest.raises(DataError, match=reason):
        seen(content)


def test_decompression_bombs_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch):
    content = png(SQUARE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 28 * 28 - 1)
    monkeypatch.setattr(Image.Image, "load", pytest.fail)

    with pytest.raises(DataError, match="more than 783 pixels"):
        read_picture(content)


def test_the_day_of_a_photograph():
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2025:03:09 10:11:12"
    picture = Image.fromarray(SQUARE)

    assert date_taken(read_picture(saved(picture, "JPEG", exif=exif))) == date(2025, 3, 9)
    assert date_taken(read_picture(saved(picture, "JPEG"))) is None
