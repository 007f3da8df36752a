"""Pictures and pages of the reports."""

import io
from pathlib import Path

import jinja2
import numpy as np
import pytest
from PIL import Image

from components.common.report import class_sheet, data_uri, image_grid, render, render_markdown

IMAGES = np.arange(5 * 4 * 6, dtype=np.uint8).reshape(5, 4, 6)


def test_the_same_images_give_the_same_bytes():
    first, second = (image_grid(IMAGES, list("abcde"), columns=2) for _ in range(2))

    assert first == second
    with Image.open(io.BytesIO(first)) as picture:
        assert picture.width < picture.height  # 2 columns, 3 rows


def test_each_image_is_upright_in_its_cell():
    images = np.zeros((3, 4, 4), np.uint8)
    images[1, :2] = 255  # the upper half, in black

    with Image.open(io.BytesIO(image_grid(images, ["", "", ""], columns=2))) as picture:
        shown = np.asarray(picture.convert("L"))

    assert shown.shape == (200, 200)
    assert (shown[10:45, 110:190] == 0).all()
    assert (shown[55:, :] == 255).all()
    assert (shown[:, :100] == 255).all()


def test_a_class_sheet_has_a_row_for_a_class_without_images():
    sheets = [
        class_sheet(IMAGES, np.array([0, 0, 1, 1, 0]), classes) for classes in (["a", "b"], ["a", "b", "c"])
    ]

    heights = [Image.open(io.BytesIO(sheet)).height for sheet in sheets]
    assert heights[0] < heights[1]


def test_text_of_a_page_is_escaped_and_a_missing_value_is_an_error(tmp_path: Path):
    (tmp_path / "page.j2").write_text("{{ text }} {{ picture }}")

    assert render(tmp_path / "page.j2", text="<b>", picture=data_uri(b"x")) == (
        "&lt;b&gt; data:image/png;base64,eA=="
    )
    with pytest.raises(jinja2.UndefinedError):
        render(tmp_path / "page.j2", text="a")


def test_a_value_in_markdown_is_one_line_of_text_and_a_macro_is_markdown(tmp_path: Path):
    (tmp_path / "page.j2").write_text(
        "{% macro bold(x) %}**{{ x }}** |{% endmacro %}{{ bold(text) }} {{ 1 }}"
    )

    pages = [
        render_markdown(tmp_path / "page.j2", text=text)
        for text in ("a\n\n| b", "<b> 1 < 2 & 3", "&lt; a*b_c", "[x](y) `z` \\")
    ]

    assert pages == [
        "**a \\| b** | 1",
        "**&lt;b> 1 < 2 & 3** | 1",
        "**&amp;lt; a\\*b_c** | 1",
        "**\\[x\\](y) \\`z\\` \\\\** | 1",
    ]
