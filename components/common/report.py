"""Self-contained HTML reports and their pictures."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from components.common.idx import Bytes

DPI = 100


def render(template: Path, **values: Any) -> str:
    """Renders a Jinja template, which may extend `base.html.j2` of this folder. Text is escaped."""
    return _render(template, values)


def render_markdown(template: Path, **values: Any) -> str:
    """Renders a Jinja template of Markdown. Values become one line of plain text, in a table's cell too."""
    return _render(template, values, _escape_markdown)


def _render(template: Path, values: dict[str, Any], finalize: Callable[[Any], Any] | None = None) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def _escape_markdown(value: Any) -> Any:
    from markupsafe import Markup

    if not isinstance(value, str) or isinstance(value, Markup):  # the latter is a macro's Markdown
        return value
    line = re.sub(r"&(?=#?\w+;)", "&amp;", " ".join(value.split()))
    line = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", line)  # elsewhere it starts no tag
    return Markup(re.sub(r"([\\`*\[\]|])", r"\\\1", line))  # noqa: S704 (escaped here)


def data_uri(png: bytes) -> str:
    """A PNG as the `src` of an image."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def figure(width: float, height: float) -> Figure:
    """A figure of this size in inches; it needs no display."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def png(drawing: Figure) -> bytes:
    """A figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def image_grid(images: Bytes, captions: list[str], columns: int, size: float = 1.0) -> bytes:
    """One PNG of gray images `(n, height, width)` with captions; each takes `size` inches."""
    from matplotlib.figure import Figure

    rows = max(1, -(-len(images) // columns))
    cell = size + 0.16 * max((text.count("\n") + 1 for text in captions if text), default=0)
    drawing = Figure((columns * size, rows * cell), DPI)
    axes = drawing.add_axes((0, 0, 1, 1))  # one for all, in inches: a layout of many takes four times as long
    axes.axis("off")
    height, width = (0.94 * size * side / max(images.shape[1:]) for side in images.shape[1:])
    for place, (image, text) in enumerate(zip(images, captions, strict=True)):
        middle, bottom = (place % columns + 0.5) * size, (place // columns + 1) * cell - 0.03 * size
        box = (middle - width / 2, middle + width / 2, bottom, bottom - height)
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest", extent=box)
        axes.text(middle, bottom - height - 0.02, text, fontsize=7, ha="center", va="bottom")
    axes.set(xlim=(0, columns * size), ylim=(rows * cell, 0), aspect="auto")
    return png(drawing)


def class_sheet(images: Bytes, labels: np.ndarray[Any, Any], classes: list[str], each: int = 12) -> bytes:
    """One PNG with the first `each` images of every class, a row for each class."""
    import numpy as np

    height, width = images.shape[1:]
    drawing = figure(each * 0.55 + 1.4, len(classes) * 0.55)
    for row, axes in enumerate(np.atleast_1d(drawing.subplots(len(classes), 1))):
        strip = np.zeros((height, each * width), np.uint8)
        for place, index in enumerate(np.flatnonzero(labels == row)[:each]):
            strip[:, place * width : (place + 1) * width] = images[index]
        axes.imshow(strip, cmap="gray_r", vmin=0, vmax=255, interpolation="nearest")
        axes.set_yticks([height / 2], [classes[row]], fontsize=8)
        axes.set_xticks([])
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return png(drawing)
