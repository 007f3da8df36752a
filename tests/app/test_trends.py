"""The page "Trends" on a small network, without a browser."""

import io
import zipfile
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from app import show, trends
from pipeline.params import Params
from tests.support.pictures import CLASSES, images, loaded_model, png

LINK = "![x](http://198.51.100.1/p.png)"
"""Markdown that would load a picture of another server."""


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, subset_params: Params) -> AppTest:
    """The page, with a champion that needs no registry."""
    loaded = loaded_model()
    monkeypatch.setattr(trends, "find_champion", lambda: SimpleNamespace(number=3))
    monkeypatch.setattr(trends, "load", lambda _: SimpleNamespace(loaded=loaded, classes=CLASSES))
    monkeypatch.setattr(trends, "params", lambda: subset_params)
    monkeypatch.setattr(show, "header", lambda *_: None)

    def script() -> None:
        from app import trends

        trends.page()

    return AppTest.from_function(script, default_timeout=30).run()


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 3, 7, 0, 0, 0)), content)
    return file.getvalue()


def test_what_cannot_be_read_is_named_as_text_and_the_others_count(page: AppTest):
    picture = png(images(1)[0])
    files = {
        "bad.zip": b"no zip file",
        "good.zip": zipped(**{"a.png": picture, LINK: b"no picture"}),
        "b.png": picture,
    }

    page.file_uploader[0].set_value([(name, content, "") for name, content in files.items()]).run()

    assert not page.exception
    assert page.warning[0].value == "2 of 4 files could not be read; they are not counted."
    assert page.dataframe[0].value["file"].tolist() == ["bad.zip", LINK]
    assert page.dataframe[0].value["why"][0].startswith("not a zip file")
    assert page.subheader[0].value == "2 pictures"
