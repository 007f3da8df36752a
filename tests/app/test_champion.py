"""The data of the app's pages, and errors on them."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from app import champion
from components.common import idx
from components.common.errors import DataError
from components.common.files import data_version
from pipeline.params import Params


@pytest.fixture
def data(subset: Path, subset_params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data of the project in whose folder the app was started."""
    folder = shutil.copytree(subset, tmp_path / "data")
    monkeypatch.setattr(champion, "project", lambda: SimpleNamespace(data=folder))
    monkeypatch.setattr(champion, "params", lambda: subset_params)
    return folder


def invert_test_images(folder: Path) -> None:
    """Replaces a file by one of the same size and time."""
    path = folder / idx.file_name("test", "images")
    state = path.stat()
    new = path.with_suffix(".new")
    idx.write(new, 255 - idx.read(path, "images"))
    os.utime(new, ns=(state.st_atime_ns, state.st_mtime_ns))
    new.replace(path)


def test_the_data_are_read_once_and_again_when_they_have_changed(data: Path):
    before = champion.read_data()
    assert champion.read_data() is before
    assert before.version == data_version(data)

    invert_test_images(data)
    after = champion.read_data()

    assert after.version == data_version(data) != before.version
    np.testing.assert_array_equal(after.splits["test"][0], 255 - before.splits["test"][0])
    np.testing.assert_array_equal(after.splits["train"][0], before.splits["train"][0])


def test_data_that_change_while_they_are_read_are_an_error_and_not_kept(
    data: Path, monkeypatch: pytest.MonkeyPatch
):
    def version_and_change(folder: Path) -> str:
        version = data_version(folder)
        invert_test_images(folder)
        return version

    with monkeypatch.context() as patch:
        patch.setattr(champion, "data_version", version_and_change)
        with pytest.raises(DataError, match="changed while they were read"):
            champion.read_data()

    assert champion.read_data().version == data_version(data)


def test_a_file_name_in_an_error_is_shown_as_it_is():
    def script() -> None:
        from app.champion import errors_shown
        from components.common.errors import DataError

        with errors_shown("![x](http://198.51.100.1/p.png)"):
            raise DataError("no _picture_", "see `docs`")

    page = AppTest.from_function(script, default_timeout=30).run()

    assert page.error[0].value == (
        r"\!\[x\]\(http\:\/\/198\.51\.100\.1\/p\.png\)\: no \_picture\_" "\n\n**What to do:** see `docs`"
    )
