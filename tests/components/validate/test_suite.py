"""Expectations: which values pass, at the limit and beyond it."""

from typing import Any

import pandas as pd
import pytest

from components.validate.suite import Validator, Verdict, class_expectations, image_expectations
from pipeline.params import Params

COUNT = 30_000


@pytest.fixture
def validator() -> Validator:
    return Validator()


def images(**changes: Any) -> pd.DataFrame:
    """Rows of images without faults, but for those that `changes` puts into the first rows of a column."""
    table = pd.DataFrame({"index": range(COUNT), "label": 0, "std": 0.5})
    table["copy_of"] = pd.Series([None] * COUNT, dtype="Int64")
    for column, values in changes.items():
        table.loc[: len(values) - 1, column] = values
    return table


@pytest.mark.parametrize(("copies", "passed"), [(6, True), (7, True), (8, False)])
def test_as_many_copies_as_allowed_pass_and_one_more_fails(
    validator: Validator, subset_params: Params, copies: int, passed: bool
):
    limit = subset_params.validate_.duplicates_in_train.model_copy(update={"max": 7})
    params = subset_params.validate_.model_copy(update={"duplicates_in_train": limit})
    expectations = image_expectations("train", COUNT, subset_params.data, params)

    verdicts = validator.verdicts("train", images(copy_of=[9] * copies), expectations)

    verdict = {each.name: each for each in verdicts}["duplicates_in_train"]
    assert verdict.passed == passed
    assert verdict.observed == f"{copies} of 30,000 images are not"
    assert verdict.examples == [0, 1, 2, 3, 4]


def test_a_label_beyond_the_last_class_and_a_blank_image_are_examples(
    validator: Validator, subset_params: Params
):
    expectations = image_expectations("train", COUNT, subset_params.data, subset_params.validate_)

    verdicts = validator.verdicts("train", images(label=[0, 10], std=[0.5, 0.5, 0.0]), expectations)

    assert {each.name: each.examples for each in verdicts if not each.passed} == {
        "labels": [1],
        "blank_images": [2],
    }


def test_a_share_at_the_limit_passes(validator: Validator, subset_params: Params):
    share = subset_params.validate_.class_share
    table = pd.DataFrame({"index": ["a", "b", "c"], "share": [share.min, share.max, share.max + 0.001]})

    (verdict,) = validator.verdicts("classes", table, class_expectations(subset_params.validate_))

    assert verdict == Verdict(
        "classes",
        "class_share",
        share.severity,
        False,
        f"{share.min:.4g} to {share.max:.4g}",
        f"{share.min:.4g} to {share.max + 0.001:.4g}",
        ["c"],
    )
