"""The most similar training images."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest

from app import neighbours
from app.neighbours import Neighbours
from components.common.idx import Bytes, Probabilities

DIRECTIONS = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], np.float32)
IMAGES = np.arange(4, dtype=np.uint8).reshape(4, 1, 1)


def features(images: Bytes) -> Probabilities:
    return DIRECTIONS[images[:, 0, 0]]


def never(_: Bytes) -> Probabilities:
    raise AssertionError("they are kept")


def known(path: Path, of: object = features) -> Neighbours:
    found = Neighbours(IMAGES, of, path)  # type: ignore[arg-type]
    found.wait()
    return found


def test_the_most_similar_images_come_first(tmp_path: Path):
    nearest = known(tmp_path / "a.npy").nearest(DIRECTIONS[0], 3)

    assert [index for index, _ in nearest] == [0, 3, 2]
    assert [similarity for _, similarity in nearest] == pytest.approx([1, 0.8, 0.6], abs=1e-6)


def test_they_are_computed_once_and_those_of_an_earlier_champion_go(tmp_path: Path):
    (tmp_path / "earlier.npy").touch()
    known(tmp_path / "a.npy")

    again = known(tmp_path / "a.npy", never)

    assert again.complete
    assert not again.error
    assert [index for index, _ in again.nearest(DIRECTIONS[1], 2)] == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def array(values: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(values, np.float16))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        b"\x93NUMPY\x01\x00",
        b"PK\x03\x04 a zip file's first bytes",
        array([0] * 4),
        array([[0]]),
    ],
)
def test_a_damaged_file_is_computed_anew(tmp_path: Path, content: bytes):
    (tmp_path / "a.npy").write_bytes(content)

    assert known(tmp_path / "a.npy").complete
    assert known(tmp_path / "a.npy", never).complete


def test_without_a_place_to_keep_them_they_are_known_all_the_same(tmp_path: Path):
    (tmp_path / "file").touch()

    found = known(tmp_path / "file" / "a.npy")

    assert (found.complete, found.error) == (True, "")


def test_one_that_is_stopped_computes_no_further_and_leaves_the_files_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(neighbours, "BATCH_SIZE", 2)
    (tmp_path / "next.npy").touch()
    started, stopped = threading.Event(), threading.Event()

    def slow(images: Bytes) -> Probabilities:
        started.set()
        assert stopped.wait(10)
        return features(images)

    found = Neighbours(IMAGES, slow, tmp_path / "a.npy")
    assert started.wait(10)
    found.stop()
    stopped.set()
    found.wait()

    assert (found.done, found.error) == (2, "")
    assert [path.name for path in tmp_path.iterdir()] == ["next.npy"]


def test_an_error_of_the_thread_is_kept(tmp_path: Path):
    found = known(tmp_path / "a.npy", never)

    assert found.error == "they are kept"
    assert not found.complete
    assert found.nearest(DIRECTIONS[0], 3) == []
