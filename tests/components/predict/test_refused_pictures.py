"""What is no picture, is too large or damaged is refused, and ends no run."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile

from components.common.errors import DataError
from components.predict import picture as picture_module
from components.predict.picture import date_taken, read_picture
from components.predict.step import Source, predict_pictures
from tests.support.pictures import SQUARE, loaded_model, png, saved, seen


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
    monkeypatch.setattr(picture_module, "MAX_PIXELS", 28 * 28 - 1)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))

    with pytest.raises(DataError, match="more than 783 pixels"):
        read_picture(content)


def test_the_largest_pictures_of_many_threads_fit_into_a_pod():
    """Each has 200 MB of pixels, and is copied once while it is made small."""
    script = """if True:
        import io
        from concurrent.futures import ThreadPoolExecutor
        from pathlib import Path
        from PIL import Image
        from components.predict.picture import read_picture, to_input

        file = io.BytesIO()
        picture = Image.new("RGBA", (7070, 7070))
        picture.paste((200, 0, 0, 255), (2000, 2000, 5000, 5000))
        picture.save(file, "PNG", compress_level=1)
        del picture
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest use so far
        with ThreadPoolExecutor(3) as pool:
            seen = list(pool.map(lambda _: to_input(read_picture(file.getvalue()), 28, 28), range(3)))
        assert all(image.all() for image in seen)
        status = Path("/proc/self/status").read_text().split()
        print(int(status[status.index("VmHWM:") + 1]) >> 10)
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert int(ended.stdout) < 700, "MiB"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_damaged_bytes_never_end_the_run(kind: str):
    random = np.random.default_rng(1)
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2025:03:09 10:11:12"
    good = saved(Image.fromarray(SQUARE).convert("RGB"), kind, **({} if kind == "BMP" else {"exif": exif}))
    contents = []
    for _ in range(80):
        damaged = np.frombuffer(good, np.uint8).copy()
        places = random.integers(0, min(len(good), 200), random.integers(1, 8))  # headers, and the EXIF data
        damaged[places] = random.integers(0, 256, len(places))
        contents.append(damaged.tobytes())

    found = list(predict_pictures(loaded_model(), [Source(kind, partial(bytes, each)) for each in contents]))

    assert len(found) == 80
    assert all((each.probabilities is None) == bool(each.error) for each in found)


def test_damaged_exif_data_give_no_date():
    good = saved(
        Image.fromarray(SQUARE), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x69\x87\4\0\1\0\0\0\xff\0\0\0"
    )
    for content in (good, good.replace(b"II*\0", b"XX*\0")):
        assert date_taken(read_picture(content)) is None
        assert seen(content)[14, 14] == pytest.approx(200, abs=5)
