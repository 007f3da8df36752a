"""How often the champion says the same of a picture made from a test image as of the test image itself.

The table goes into `docs/use.md`. A picture is what a camera or a shop could have made of the garment:
larger, in colour, on another background, rotated, compressed.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tabulate import tabulate

from components.common import idx
from components.common.errors import PipelineError
from components.common.files import replacing
from components.predict.step import Source, predict_pictures
from components.registry.model import LoadedModel
from pipeline.project import Project
from pipeline.registry.champion import load_champion

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "use.md"
BEGIN, END = "<!-- python -m benchmarks.pictures: begin -->", "<!-- end -->"
EDGE = 420
ENOUGH = 0.9
"""A smaller share in any row is a failure."""
ORIENTATION = 0x0112
ROTATIONS = {
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
    5: Image.Transpose.TRANSPOSE,
}
"""How the camera stored a picture, by the EXIF orientation that turns it upright again."""
Pixels = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Shot:
    """How a picture is made of a test image.

    Args:
        background: Brightness around the garment, 0 to 255. Below 128, the garment is as bright as in the
            test image, else as dark as in its negative.
        colour: Whether garment and background have a hue.
        padded: Whether the garment is somewhere in a larger picture.
        texture: Standard deviation of the background's brightness: cloth, and light from one side.
        rotated: Whether the picture is stored rotated, with the EXIF orientation.
        edge: Edge of the enlarged image.
        mode: Pillow's mode, `cut out` for a transparent background.
        format: The file's format.
        quality: Of JPEG and WebP.
    """

    background: int = 255
    colour: bool = False
    padded: bool = False
    texture: float = 0
    rotated: bool = False
    edge: int = EDGE
    mode: str = "RGB"
    format: str = "PNG"
    quality: int = 90


SHOTS = {
    "the test image as PNG": Shot(background=0, edge=28, mode="L"),
    "its negative": Shot(edge=28, mode="L"),
    "enlarged, on white": Shot(),
    "enlarged, on black": Shot(background=0),
    "coloured": Shot(colour=True),
    "padded": Shot(padded=True),
    "rotated by EXIF": Shot(rotated=True, format="JPEG"),
    "on light gray": Shot(background=225, padded=True),
    "on dark gray": Shot(background=35, padded=True),
    "on light texture": Shot(background=225, padded=True, texture=5),
    "on dark texture": Shot(background=35, padded=True, texture=5),
    "JPEG of quality 60": Shot(format="JPEG", quality=60),
    "cut out, transparent": Shot(padded=True, mode="cut out"),
    "bright garment cut out, transparent": Shot(background=0, padded=True, mode="cut out"),
    "28 x 28, on light gray": Shot(background=225, edge=28, mode="L"),
    "256 colours": Shot(padded=True, colour=True, mode="P"),
    "CMYK": Shot(padded=True, mode="CMYK", format="JPEG"),
    "16 bits of gray": Shot(padded=True, mode="I;16"),
    "WebP of quality 60": Shot(padded=True, format="WEBP", quality=60),
    "coloured, padded, rotated, on light texture, JPEG 60": Shot(
        225, colour=True, padded=True, texture=5, rotated=True, format="JPEG", quality=60
    ),
    "coloured, padded, rotated, on dark texture, JPEG 60": Shot(
        35, colour=True, padded=True, texture=5, rotated=True, format="JPEG", quality=60
    ),
}
"""Each way to make pictures that the table has a row of."""


def shoot(image: idx.Bytes, shot: Shot, generator: np.random.Generator) -> bytes:
    """The file of a picture of a test image `(height, width)`."""
    large = Image.fromarray(image).resize((shot.edge, shot.edge), Image.Resampling.BICUBIC)
    if shot.padded:
        width, height = (int(shot.edge * generator.uniform(1.1, 1.8)) for _ in range(2))
        place = (int(generator.uniform(0, width - shot.edge)), int(generator.uniform(0, height - shot.edge)))
        ground = Image.new("L", (width, height))
        ground.paste(large, place)
        large = ground
    garment = np.asarray(large, np.float32)[..., None] / 255
    light = shot.background >= 128
    hue = generator.uniform(0.6, 1, 3).astype(np.float32) if shot.colour else np.ones(3, np.float32)
    ground_hue = generator.uniform(-12, 12, 3).astype(np.float32) if shot.colour else np.zeros(3, np.float32)
    ground_colour = (shot.background + ground_hue).clip(0, 255) + _texture(garment.shape[:2], shot, generator)
    ink = 255 * (1 - hue) if light else 255 * hue
    picture = _picture(ground_colour * (1 - garment) + ink * garment, garment, shot.mode)
    if not shot.rotated:
        return _encoded(picture, shot)
    orientation = int(generator.choice(list(ROTATIONS)))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return _encoded(picture.transpose(ROTATIONS[orientation]), shot, exif=exif)


def _texture(size: tuple[int, ...], shot: Shot, generator: np.random.Generator) -> Pixels:
    """Threads and grain, and light that falls off towards one side, `(height, width, 1)`."""
    rows, columns, grain = (generator.normal(size=n) for n in ((size[0], 1), (1, size[1]), size))
    light = np.linspace(-1, 1, size[1])
    return (shot.texture * (rows + columns + grain + light) / 2)[..., None].astype(np.float32)


def _picture(colours: Pixels, garment: Pixels, mode: str) -> Image.Image:
    pixels = np.rint(colours.clip(0, 255)).astype(np.uint8)
    if mode == "cut out":
        return Image.fromarray(np.dstack([pixels, np.where(garment > 0, 255, 0).astype(np.uint8)]))
    if mode == "I;16":
        return Image.fromarray((colours[..., 0].clip(0, 255) * 257).astype(np.uint16))
    return Image.fromarray(pixels).convert(mode)


def _encoded(picture: Image.Image, shot: Shot, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, shot.format, quality=shot.quality, compress_level=1, **options)
    return file.getvalue()


def agreement(model: LoadedModel, images: idx.Bytes, shot: Shot, seed: int = 1) -> float:
    """Share of the images of whose picture the model says the same as of the image."""
    generators = [np.random.default_rng((seed, number)) for number in range(len(images))]

    def source(number: int) -> Callable[[], bytes]:
        return lambda: shoot(images[number], shot, generators[number])

    sources = [Source(str(number), source(number)) for number in range(len(images))]
    expected = model.predict(images).argmax(axis=1)
    found = [
        -1 if prediction.probabilities is None else prediction.probabilities.argmax()
        for prediction in predict_pictures(model, sources)
    ]
    return float(np.mean(expected == found))


def main() -> None:
    """Measures, prints the table, and writes it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000, help="how many")
    parser.add_argument(
        "--split", choices=idx.SPLITS, default="test", help="only test is written to the page"
    )
    options = parser.parse_args()
    project = Project(ROOT)
    images, _ = idx.read_split(project.data, options.split)
    model = load_champion(ROOT, project.params())
    rows = []
    for name, shot in SHOTS.items():
        rows.append((name, agreement(model, images[: options.images], shot)))
        print(f"{name} {rows[-1][1]:.1%}", flush=True)
    too_few = [name for name, share in rows if share < ENOUGH]
    if too_few:
        sys.exit(f"error: less than {ENOUGH:.0%} agree, so the page stays as it is: {'; '.join(too_few)}")
    if options.split == "test":
        shown = [(name, f"{share:.1%}") for name, share in rows]
        table = tabulate(shown, ("picture", "same class"), tablefmt="github", colalign=("left", "right"))
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        with replacing(PAGE) as partial:
            partial.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"error: {error}\nwhat to do: {error.hint or '`make run` first'}")
