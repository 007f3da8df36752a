"""Pictures, bars and tables as HTML, in the colours of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from app.champion import Champion, follow_champion
from components.common.report import data_uri

if TYPE_CHECKING:
    from PIL.Image import Image

    from components.common.idx import Bytes, Probabilities

ACCENT = "#6366f1"
STYLE = f"""
<style>
.block-container {{ max-width: 1080px; padding-top: 4.5rem; padding-bottom: 3rem; }}
.facts {{ display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; font-size: .875rem; }}
.facts span span {{ opacity: .65; margin-right: .35rem; }}
h1 {{ font-size: 2.1rem !important; padding-bottom: .25rem !important; }}
.views {{ display: grid; grid-template-columns: 2fr 1fr; gap: .75rem; }}
.views figure:first-child {{ grid-row: span 2; }}
.row {{ display: grid; grid-template-columns: repeat(10, minmax(0, 1fr)); gap: .75rem; }}
.grid {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); gap: .75rem; }}
figure {{ margin: 0; min-width: 0; }}
figure img {{ width: 100%; aspect-ratio: 1; border-radius: .5rem; display: block; background: #000; }}
figure img.whole {{ object-fit: contain; background: rgba(127, 127, 127, .12); }}
figure img.pixels {{ image-rendering: pixelated; }}
figcaption {{ font-size: .8rem; line-height: 1.25; margin-top: .3rem; overflow-wrap: anywhere; }}
figcaption small {{ display: block; opacity: .65; font-size: .75rem; }}
.verdict {{ font-size: 1.9rem; font-weight: 700; line-height: 1.2; }}
.verdict + p {{ margin: .15rem 0 1rem; opacity: .75; }}
.bars {{ display: grid; grid-template-columns: max-content 1fr max-content; gap: .45rem .75rem;
  align-items: center; font-size: .9rem; }}
.bars .track {{ height: .7rem; border-radius: .35rem; background: rgba(127, 127, 127, .16); }}
.bars .fill {{ height: 100%; border-radius: .35rem; background: rgba(127, 127, 127, .55); }}
.bars .first {{ background: {ACCENT}; }}
.bars .number {{ text-align: right; font-variant-numeric: tabular-nums; }}
.matrix {{ overflow-x: auto; }}
.matrix table {{ border-collapse: separate; border-spacing: 2px; font-size: .8rem; width: 100%;
  table-layout: fixed; }}
.matrix th {{ font-weight: 400; text-align: right; padding: 0 .35rem 0 0; }}
.matrix thead th {{ writing-mode: vertical-rl; transform: rotate(180deg); padding: .2rem 0; height: 5.5rem;
  text-align: left; vertical-align: middle; white-space: nowrap; margin: 0 auto; }}
.matrix col.names {{ width: 5.6rem; }}
.matrix td {{ text-align: center; height: 1.9rem; border-radius: .25rem; padding: 0;
  font-variant-numeric: tabular-nums; }}
[data-testid="stExpander"] table {{ display: block; overflow-x: auto; max-width: 100%; }}
[data-testid="stExpander"] td code {{ white-space: normal; word-break: break-all; }}
[data-testid="stExpander"] h1 {{ font-size: 1.4rem !important; }}
[data-testid="stExpander"] h2 {{ font-size: 1.15rem !important; }}
[data-testid="stExpander"] h3 {{ font-size: 1rem !important; }}
@media (max-width: 640px) {{
  .block-container {{ padding: 4.25rem 1rem 2rem; }}
  .matrix table {{ font-size: .68rem; border-spacing: 1px; }}
  .matrix col.names {{ width: 4.6rem; }}
  .grid {{ grid-template-columns: repeat(auto-fill, minmax(72px, 1fr)); gap: .6rem; }}
  .row {{ grid-template-columns: repeat(5, minmax(0, 1fr)); gap: .6rem; }}
}}
</style>
"""


def header(title: str, text: str, champion: Champion | None = None) -> None:
    """The head of a page; with the champion, which it then follows."""
    st.title(title, anchor=False)
    st.markdown(text)
    if champion:
        accuracy = "unknown" if champion.accuracy is None else f"{champion.accuracy:.2%}"
        facts(
            Model=f"{champion.version.name}, version {champion.number}",
            Accuracy=f"{accuracy} of the test images",
            Data=champion.data[:8],
        )
        follow_champion(champion.number)


def facts(**facts: str) -> None:
    """Facts in a line, each with its name."""
    items = "".join(f"<span><span>{name}</span>{escape(text)}</span>" for name, text in facts.items())
    st.html(f'<div class="facts">{items}</div>')


def figure(picture: Image | Bytes, caption: str, note: str = "", kind: str = "pixels") -> str:
    """A picture with a caption; `kind` is `pixels` for enlarged pixels, or `whole` to show all of it."""
    from PIL import Image

    image = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    buffer = BytesIO()
    image.save(buffer, "PNG")
    small = f"<small>{escape(note)}</small>" if note else ""
    return (
        f'<figure><img class="{kind}" src="{data_uri(buffer.getvalue())}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}{small}</figcaption></figure>"
    )


def figures(layout: str, parts: Iterable[str]) -> None:
    """Figures in a `grid`, ten in a `row`, or three `views`, of which the first is large."""
    st.html(f'<div class="{layout}">{"".join(parts)}</div>')


def heat(image: Bytes, weights: Probabilities) -> Image:
    """An image `(height, width)` under a colour whose strength is the weight of each pixel."""
    from PIL import Image

    size = (image.shape[1] * 8, image.shape[0] * 8)
    strength = weights / max(float(weights.max()), 1e-6)
    base = Image.fromarray(image).resize(size, Image.Resampling.NEAREST).convert("RGB")
    mask = Image.fromarray((strength * 200).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    base.paste(Image.new("RGB", size, "#ff8a00"), mask=mask)
    return base


def verdict(name: str, text: str) -> None:
    """What the model says, and a sentence below it."""
    st.html(f'<div class="verdict" role="status">{escape(name)}</div><p>{escape(text)}</p>')


def bars(rows: Sequence[tuple[str, float, str]], first: int = 0) -> None:
    """Bars with a label, a share from 0 to 1 and a number as text; `first` of them are in the accent."""
    parts = []
    for place, (label, share, number) in enumerate(rows):
        kind = "fill first" if place < first else "fill"
        parts.append(
            f"<span>{escape(label)}</span>"
            f'<span class="track"><div class="{kind}" style="width:{min(1.0, share):.2%}"></div></span>'
            f'<span class="number">{escape(number)}</span>'
        )
    st.html(f'<div class="bars">{"".join(parts)}</div>')


def matrix(counts: np.ndarray, classes: Sequence[str]) -> None:
    """A confusion matrix: true classes in rows, predicted ones in columns; the stronger, the more images."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in classes)
    body = ""
    for row, name in enumerate(classes):
        cells = "".join(
            f'<td style="background:rgba({"99,102,241" if row == column else "255,138,0"},'
            f'{0.06 + 0.75 * min(1, share if row == column else 5 * share):.2f})">{count or ""}</td>'
            for column, (count, share) in enumerate(zip(counts[row], shares[row], strict=True))
        )
        body += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    st.html(
        f'<div class="matrix"><table><colgroup><col class="names"></colgroup>'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
