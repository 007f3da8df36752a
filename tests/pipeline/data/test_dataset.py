"""`fashion data` and `fashion data adopt`."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from components.common import idx
from components.common.files import data_version
from tests.support.data_files import LABELS, flip, mixed_files
from tests.support.project import ROOT, Project


def test_a_set_of_mixed_packing_is_adopted(project: Project, subset: Path, tmp_path: Path):
    project.fashion("data", "adopt", str(mixed_files(subset, tmp_path / "mixed")))

    assert data_version(project.root / "data") == data_version(subset)


def test_dvc_repro_on_a_flipped_byte_stops_and_fashion_data_puts_everything_right(
    project: Project, subset: Path
):
    before = (project.root / "data.dvc").read_text()
    flip(project.root / "data" / LABELS)

    refused = project.run("dvc", "repro", code=255)
    assert LABELS in refused.stdout + refused.stderr
    assert project.json("outputs/validate/validation.json")["verdict"] == "failed"

    project.fashion("data", "--replace", "--from", str(subset))
    assert (project.root / "data.dvc").read_text() == before
    assert "train" not in project.reproduce()
    assert project.json("outputs/validate/validation.json")["verdict"] == "passed"


@pytest.mark.slow
def test_another_data_set_goes_through_by_what_adopt_prints(project: Project, tmp_path: Path):
    folder = tmp_path / "shapes"
    folder.mkdir()
    random = np.random.default_rng(0)
    counts: dict[idx.Split, int] = {"train": 600, "test": 150}
    for split, count in counts.items():
        labels = (np.arange(count) % 3).astype(np.uint8)
        images = random.integers(0, 90, (count, 20, 24)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[5 * label : 5 * label + 6] += 150
        idx.write(folder / idx.file_name(split, "images"), images)
        idx.write(folder / idx.file_name(split, "labels"), labels)

    printed = project.fashion("data", "adopt", str(folder)).stdout
    for section, values in YAML(typ="safe").load(printed[printed.index("data:") :]).items():
        for name, value in values.items():
            if section == "validate":
                value["severity"] = "critical"
            project.change(section, name, value)
    project.change("train", "precision", "float32")
    project.change("gate", "accuracy_min", 0.0)

    assert project.reproduce() == ["validate", "train", "evaluate", "gate", "register"]
    assert project.json("outputs/evaluate/evaluation.json")["task"]["image_size"] == [20, 24]
    assert len(project.json("outputs/evaluate/evaluation.json")["confusion_matrix"]) == 3


def truncate(folder: Path) -> None:
    path = folder / LABELS
    path.write_bytes(path.read_bytes()[:-1])


def no_images(folder: Path) -> None:
    for kind, array in zip(idx.KINDS, idx.read_split(folder, "test"), strict=True):
        idx.write(folder / idx.file_name("test", kind), array[:0])


def two_sizes(folder: Path) -> None:
    idx.write(folder / idx.file_name("test", "images"), np.zeros((500, 9, 9), np.uint8))


def absent(folder: Path) -> None:
    (folder / LABELS).unlink()


@pytest.mark.parametrize("damage", [truncate, no_images, two_sizes, absent])
def test_a_set_that_cannot_be_adopted_leaves_the_old_one(
    project: Project, subset: Path, tmp_path: Path, damage: Callable[[Path], None]
):
    folder = Path(shutil.copytree(subset, tmp_path / "other"))
    damage(folder)

    refused = project.fashion("data", "adopt", str(folder), code=4)

    assert str(folder) in refused.stderr
    assert data_version(project.root / "data") == data_version(subset)
    assert project.git("status", "--porcelain", "data.dvc") == ""


def test_adopt_does_not_throw_away_what_is_in_no_cache(project: Project, real_data: Path):
    (project.root / "data" / "notes.txt").write_text("mine")

    refused = project.fashion("data", "adopt", str(real_data), code=4)

    assert "notes.txt" in refused.stderr
    assert (project.root / "data" / "notes.txt").read_text() == "mine"


def test_adopt_measures_the_real_data(project: Project, real_data: Path):
    printed = project.fashion("data", "adopt", str(real_data)).stdout

    measured = YAML(typ="safe").load(printed[printed.index("data:") :])
    declared = YAML(typ="safe").load(ROOT / "params.yaml")["data"]
    assert measured["data"] | {"classes": 0} == declared | {"classes": 0}
    assert data_version(project.root / "data") == data_version(real_data)
