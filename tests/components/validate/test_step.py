"""The validate step: each fault that data can have, and the report."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common import idx
from components.common.errors import DataError, ValidationError
from components.common.files import file_digest, read_json
from components.validate.step import validate
from pipeline.params import Params

Damage = Callable[[Path], None]


@pytest.fixture
def data(subset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(subset, tmp_path / "data"))


def run(data: Path, out: Path, params: Params, **options: Any) -> dict[str, Any]:
    return validate(data, out, params.data, params.validate_, **options)


def edit(data: Path, split: idx.Split, change: Callable[[idx.Bytes, idx.Bytes], None]) -> None:
    """Rewrites a split after `change` has worked on its images and labels in place."""
    images, labels = idx.read_split(data, split)
    change(images, labels)
    idx.write(data / idx.file_name(split, "images"), images)
    idx.write(data / idx.file_name(split, "labels"), labels)


def failures(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    result = read_json(out / "validation.json", "validate")
    return {(e["table"], e["name"]): e for e in result["expectations"] if not e["passed"]}


def test_the_real_data_passes_every_expectation_and_has_no_duplicates(real_data: Path, tmp_path: Path):
    from pipeline import params as parameters
    from tests.support.project import ROOT

    result = run(real_data, tmp_path / "out", parameters.load(ROOT / "params.yaml"))

    assert (result["verdict"], result["warnings"]) == ("passed", 0)
    assert result["images"] == {"train": 60000, "test": 10000}
    assert len(result["expectations"]) == 20


def test_the_verdict_is_the_same_bytes_each_time_and_in_another_folder(
    data: Path, subset: Path, subset_params: Params, tmp_path: Path
):
    run(data, tmp_path / "one", subset_params)
    run(subset, tmp_path / "two", subset_params)

    assert file_digest(tmp_path / "one/validation.json", "md5") == file_digest(
        tmp_path / "two/validation.json", "md5"
    )


def test_the_report_opens_offline(data: Path, subset_params: Params, tmp_path: Path):
    run(data, tmp_path / "out", subset_params)

    page = (tmp_path / "out" / "report.html").read_text()

    assert page.count('src="data:image/png;base64,') == 3
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    for heading in ("Expectations", "Classes", "Samples", "Outliers"):
        assert f"<h2>{heading}</h2>" in page


def truncate(data: Path) -> None:
    path = data / idx.file_name("train", "images")
    path.write_bytes(path.read_bytes()[:-100])


def wrong_magic(data: Path) -> None:
    path = data / idx.file_name("test", "images")
    path.write_bytes(bytes.fromhex("00000d03") + path.read_bytes()[4:])


def one_label_less(data: Path) -> None:
    _, labels = idx.read_split(data, "train")
    idx.write(data / idx.file_name("train", "labels"), labels[:-1])


def swapped(data: Path) -> None:
    for kind in idx.KINDS:
        train, test = data / idx.file_name("train", kind), data / idx.file_name("test", kind)
        train.rename(data / "x")
        test.rename(train)
        (data / "x").rename(test)


def label_out_of_range(data: Path) -> None:
    edit(data, "train", lambda _, labels: labels.__setitem__([3, 7], 10))


def all_black(data: Path) -> None:
    edit(data, "test", lambda images, _: images.fill(0))


def one_blank(data: Path) -> None:
    edit(data, "train", lambda images, _: images.__setitem__(12, 0))


def one_class_rare(data: Path) -> None:
    edit(data, "train", lambda _, labels: labels.__setitem__(np.flatnonzero(labels == 4)[:150], 5))


def inverted(data: Path) -> None:
    edit(data, "test", lambda images, _: images.__setitem__(slice(None), 255 - images))


def duplicate(data: Path) -> None:
    edit(data, "train", lambda images, _: images.__setitem__(20, images[2]))


def leak(data: Path) -> None:
    train, _ = idx.read_split(data, "train")
    edit(data, "test", lambda images, _: images.__setitem__(8, train[30]))


@pytest.mark.parametrize(
    ("damage", "table", "name", "examples"),
    [
        (truncate, "files", "bytes", ["train-images-idx3-ubyte"]),
        (wrong_magic, "files", "magic", ["t10k-images-idx3-ubyte"]),
        (one_label_less, "files", "images", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]),
        (swapped, "files", "shape", list(idx.FILE_NAMES)),
        (label_out_of_range, "train", "labels", [3, 7]),
        (all_black, "test", "blank_images", [0, 1, 2, 3, 4]),
        (one_blank, "train", "blank_images", [12]),
        (one_class_rare, "train classes", "class_share", ["train: Coat", "train: Sandal"]),
        (inverted, "test pixels", "pixel_mean", ["test"]),
        (duplicate, "train", "duplicates_in_train", [20]),
        (leak, "test", "duplicates_across", [8]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_of_the_data_stops_the_pipeline_and_is_shown_by_example(
    damage: Damage,
    table: str,
    name: str,
    examples: list[Any],
    data: Path,
    subset_params: Params,
    tmp_path: Path,
):
    damage(data)
    out = tmp_path / "out"

    with pytest.raises(ValidationError) as stopped:
        run(data, out, subset_params)

    assert read_json(out / "validation.json", "validate")["verdict"] == "failed"
    assert failures(out)[table, name]["examples"] == examples
    assert name in str(stopped.value)
    assert (out / "report.html").exists()


def test_a_flipped_byte_is_refused_by_the_files_digest(data: Path, subset_params: Params, tmp_path: Path):
    digests = {path.name: file_digest(path, "sha256") for path in data.iterdir()}
    edit(data, "test", lambda images, _: images.__setitem__((5, 14, 14), images[5, 14, 14] ^ 1))

    with pytest.raises(ValidationError):
        run(data, tmp_path / "out", subset_params, sha256=digests)

    assert failures(tmp_path / "out").keys() == {("files", "sha256")}


def test_a_file_without_a_header_leaves_nothing_behind(data: Path, subset_params: Params, tmp_path: Path):
    (data / idx.file_name("test", "labels")).write_bytes(b"\0")

    with pytest.raises(DataError, match=r"t10k-labels.* too short"):
        run(data, tmp_path / "out", subset_params)

    assert not (tmp_path / "out").exists()


def test_a_foreign_file_is_refused(data: Path, subset_params: Params, tmp_path: Path):
    (data / "notes.txt").write_text("mine")

    with pytest.raises(DataError, match=r"notes.txt"):
        run(data, tmp_path / "out", subset_params)


def test_a_warning_is_reported_and_does_not_stop(data: Path, subset_params: Params, tmp_path: Path):
    narrow = subset_params.validate_.nonzero_share.model_copy(update={"min": 0.9, "max": 1.0})
    expectations = subset_params.validate_.model_copy(update={"nonzero_share": narrow})

    result = validate(data, tmp_path / "out", subset_params.data, expectations)

    assert (result["verdict"], result["warnings"]) == ("passed", 2)
    assert failures(tmp_path / "out").keys() == {
        ("train pixels", "nonzero_share"),
        ("test pixels", "nonzero_share"),
    }


def test_known_duplicates_are_allowed_up_to_their_number(data: Path, subset_params: Params, tmp_path: Path):
    duplicate(data)
    known = subset_params.validate_.duplicates_in_train.model_copy(update={"max": 1})
    expectations = subset_params.validate_.model_copy(update={"duplicates_in_train": known})

    assert validate(data, tmp_path / "out", subset_params.data, expectations)["verdict"] == "passed"

    edit(data, "train", lambda images, _: images.__setitem__(21, images[2]))
    with pytest.raises(ValidationError, match="duplicates_in_train"):
        validate(data, tmp_path / "out", subset_params.data, expectations)
