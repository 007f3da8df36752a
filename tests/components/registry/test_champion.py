"""The comparison with the champion of a real registry, in the words that every place shows."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow.entities.model_registry import ModelVersion

from components.common import idx
from components.common.files import data_version
from components.common.rules import RuleVerdict
from components.registry.champion import compare_with, compare_with_champion, sentence
from components.registry.history import Entry
from components.registry.params import ComparisonParams
from components.registry.predictions import artifacts, keep_predictions
from components.registry.registry import WEIGHTS_TAG, Registry
from tests.support.registry import add_version, make_candidate, predictions

PARAMS = ComparisonParams(max_regression=0.0, max_recall_drop=None, require_significant=False)
WORSE, CHAMPION, BETTER = range(6), range(4), (0, 1, 2)


def make_champion(registry: Registry, version: ModelVersion) -> None:
    head = registry.read().state.head
    number, digest = int(version.version), version.tags[WEIGHTS_TAG]
    assert registry.add(Entry(head, number, digest, 0, "register", "given", "a test"))


def test_without_a_champion_there_is_nothing_to_compare(registry: Registry, subset: Path, tmp_path: Path):
    candidate = make_candidate(tmp_path, subset, predictions(subset, wrong=BETTER), "new")

    assert compare_with_champion(candidate, registry.name, PARAMS) is None
    assert sentence([], None) == "passed; there is no other champion"


@pytest.mark.parametrize(("wrong", "beats"), [(BETTER, True), (CHAMPION, True), (WORSE, False)])
def test_both_are_scored_on_the_same_images(
    wrong: range, beats: bool, registry: Registry, subset: Path, tmp_path: Path
):
    make_champion(registry, add_version(registry, subset, predictions(subset, wrong=CHAMPION), "old"))
    candidate = make_candidate(tmp_path, subset, predictions(subset, wrong=wrong), "new")

    comparison = compare_with_champion(candidate, registry.name, PARAMS)

    assert comparison
    assert comparison["champion"] == {
        "version": 1,
        "weights_digest": "old",
        "data_version": data_version(subset),
    }
    assert (comparison["images"], comparison["champion_accuracy"]) == (500, 0.992)
    assert comparison["accuracy"] == 1 - len(wrong) / 500
    assert comparison["beats"] is beats
    words = "passed, and beats champion 1" if beats else "passed, but does not beat champion 1"
    assert sentence([], comparison).startswith(
        f"{words}: accuracy {comparison['accuracy']:.4f} against 0.9920"
    )


def test_a_rejected_model_is_not_compared(registry: Registry):
    rule = RuleVerdict("accuracy", 0.91, ">=", 0.92, passed=False)

    assert sentence([rule], None) == "rejected: accuracy 0.9100 < 0.92"


def test_a_champion_of_another_task_stays(registry: Registry, subset: Path, tmp_path: Path):
    predicted = predictions(subset, wrong=CHAMPION)
    make_champion(registry, add_version(registry, subset, predicted, "old", task="other classes"))

    check_that_the_champion_stays("it knows other classes", registry, subset, tmp_path)


def test_a_champion_that_cannot_be_measured_stays(registry: Registry, subset: Path, tmp_path: Path):
    # What it keeps is not of these test images, and it has no model file.
    version = add_version(registry, subset, predictions(subset, wrong=CHAMPION)[:9], "old")
    make_champion(registry, version)
    artifacts(registry.client, version).delete_artifacts("data")

    check_that_the_champion_stays("the model file of version 1 cannot be had", registry, subset, tmp_path)


def check_that_the_champion_stays(reason: str, registry: Registry, subset: Path, folder: Path) -> None:
    candidate = make_candidate(folder, subset, predictions(subset, wrong=BETTER), "new")

    comparison = compare_with_champion(candidate, registry.name, PARAMS)

    assert comparison
    assert comparison["beats"] is False
    assert "accuracy" not in comparison
    words = sentence([], comparison)
    assert words.startswith("passed, but cannot be compared with champion 1: ")
    assert reason in words
    assert "`fashion rollback --reason …`" in words


def test_a_champion_of_other_data_is_scored_on_the_new_data(registry: Registry, subset: Path, tmp_path: Path):
    old = tmp_path / "old"
    shutil.copytree(subset, old)
    images, labels = idx.read_split(old, "test")
    idx.write(old / idx.file_name("test", "images"), images[::-1])
    idx.write(old / idx.file_name("test", "labels"), labels[::-1])
    champion = add_version(registry, old, predictions(old, wrong=WORSE), "old")
    keep_predictions(registry.client, champion, data_version(subset), predictions(subset, wrong=CHAMPION))
    make_champion(registry, champion)
    candidate = make_candidate(tmp_path, subset, predictions(subset, wrong=BETTER), "new")

    comparison = compare_with_champion(candidate, registry.name, PARAMS)

    assert comparison
    assert comparison["beats"] is True  # on the new data
    assert comparison["old_data"] is None  # which cannot be had here


def test_the_champion_itself_keeps_the_comparison_that_made_it_champion(
    registry: Registry, subset: Path, tmp_path: Path
):
    recorded = '{"champion": {"version": 7}, "error": "", "beats": true}'
    predicted = predictions(subset, wrong=CHAMPION)
    make_champion(registry, add_version(registry, subset, predicted, "ours", comparison=recorded))
    candidate = make_candidate(tmp_path, subset, predicted, "ours")

    comparison = compare_with_champion(candidate, registry.name, PARAMS)

    assert comparison == {"champion": {"version": 7}, "error": "", "beats": True}

    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation | {"data_version": "other.dir"}))
    assert compare_with_champion(candidate, registry.name, PARAMS) is None  # that was of other images


def test_what_was_compared_does_not_change_if_it_is_compared_again(
    registry: Registry, subset: Path, tmp_path: Path
):
    champion = add_version(registry, subset, predictions(subset, wrong=CHAMPION), "old")
    candidate = make_candidate(tmp_path, subset, predictions(subset, wrong=BETTER), "new")

    first, second = (compare_with(registry.client, candidate, champion, PARAMS) for _ in range(2))

    assert first == second
    assert np.isfinite(first["difference_low"])
