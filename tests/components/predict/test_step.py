"""Pictures are predicted in batches and in order; what cannot be read is named, and stops nothing."""

import lzma
import os
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from components.common.errors import StorageError
from components.predict import step
from components.predict.step import Source, file_source, predict_pictures, ranked
from tests.support.pictures import CLASSES, images, loaded_model, png

MODEL = loaded_model()
PICTURES = images(7)


def sources() -> list[Source]:
    return [Source(str(number), partial(png, image)) for number, image in enumerate(PICTURES)]


@pytest.mark.parametrize("batch", [1, 3, 7, 256])
def test_the_order_and_the_probabilities_do_not_depend_on_the_batches(
    batch: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(step, "BATCH_SIZE", batch)

    found = list(predict_pictures(MODEL, sources()))

    assert [prediction.file for prediction in found] == list("0123456")
    np.testing.assert_array_equal([prediction.image for prediction in found], PICTURES)
    probabilities = np.array([prediction.probabilities for prediction in found])
    assert np.allclose(probabilities, MODEL.predict(PICTURES), rtol=1e-5)


def test_what_cannot_be_read_has_an_error_and_the_others_are_predicted(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "good.png").write_bytes(png(PICTURES[0]))
    paths = [tmp_path / name for name in ("lost.png", "notes.txt", "good.png")]

    lost, notes, good = predict_pictures(MODEL, [*map(file_source, paths)])

    assert (lost.file, lost.error) == (str(paths[0]), "cannot be read: No such file or directory")
    assert notes.error == "no picture, or of an unknown format"
    assert lost.probabilities is None
    assert notes.image is None
    assert (good.error, good.probabilities is None) == ("", False)
    assert list(predict_pictures(MODEL, [])) == []


def test_any_failure_of_decoding_is_named_but_not_of_the_storage():
    def fail(error: BaseException) -> Callable[[], bytes]:
        def read() -> bytes:
            raise error

        return read

    for error, named in (
        (lzma.LZMAError("corrupt input"), "cannot be read: corrupt input"),
        (MemoryError(), "too large for the memory"),
    ):
        (found,) = predict_pictures(MODEL, [Source("a", fail(error))])
        assert found.error == named
    with pytest.raises(StorageError):
        list(predict_pictures(MODEL, [Source("a", fail(StorageError("the bucket is gone")))]))


def test_a_name_that_is_no_text_is_shown_as_text(tmp_path: Path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    path.write_bytes(png(PICTURES[0]))
    os.utime(path, (86400, 86400))

    (found,) = predict_pictures(MODEL, [file_source(path)])

    assert (found.file, found.changed, found.error) == (rf"{tmp_path}/caf\xe9.png", date(1970, 1, 2), "")


def test_no_more_is_read_than_two_batches_ahead(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(step, "BATCH_SIZE", 2)
    remaining = iter(sources())

    next(iter(predict_pictures(MODEL, remaining)))

    assert [source.file for source in remaining] == ["4", "5", "6"]


def test_a_huge_file_is_not_read_as_a_whole(tmp_path: Path):
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)

    (prediction,) = predict_pictures(MODEL, [file_source(tmp_path / "huge")])

    assert prediction.error == "more than 50 MiB"


def test_the_most_probable_classes_come_first():
    probabilities = np.array([0.25, 0.5, 0.25], np.float32)

    assert ranked(probabilities, CLASSES, 2) == [("Trouser", 0.5), ("T-shirt/top", 0.25)]
