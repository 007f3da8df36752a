"""The figures and the rules of a comparison, from given predictions."""

from typing import Any

import numpy as np
import pytest

from components.registry.comparison import compare, judge_comparison
from components.registry.params import ComparisonParams

LABELS = np.array([0] * 10 + [1] * 10, np.uint8)
STRICT = ComparisonParams(max_regression=0.0, max_recall_drop=0.03, require_significant=False)


def wrong_at(*rows: int) -> Any:
    """Predictions that are right but for these images."""
    predicted = LABELS.copy()
    predicted[list(rows)] ^= 1
    return predicted


def test_the_figures_are_of_the_same_images():
    figures = compare(LABELS, wrong_at(*range(8)), wrong_at(18, 19), ["a", "b"])

    low, high = figures.pop("difference_low"), figures.pop("difference_high")
    assert figures == {
        "images": 20,
        "accuracy": 0.9,
        "champion_accuracy": 0.6,
        "difference": 0.3,
        "only_right": 8,
        "champion_only_right": 2,
        "changed": 10,
        "mcnemar_p": pytest.approx(0.109375),  # 2 * (1 + 10 + 45) / 2**10
        "recall_drop": pytest.approx(0.2),
        "recall_drop_class": "b",
    }
    # Of 20 images 8 count +1 and 2 count -1: the standard deviation of the mean is 0.143.
    assert low == pytest.approx(0.0, abs=0.051)
    assert high == pytest.approx(0.55, abs=0.051)


def test_models_with_the_same_predictions_do_not_differ():
    figures = compare(LABELS, wrong_at(3), wrong_at(3), ["a", "b"])

    assert (figures["changed"], figures["mcnemar_p"], figures["difference_low"]) == (0, 1.0, 0.0)
    assert all(rule.passed for rule in judge_comparison(figures, STRICT))


def test_a_class_without_test_images_has_no_recall():
    figures = compare(LABELS, wrong_at(0), wrong_at(0, 1), ["a", "b", "c"])

    assert (figures["recall_drop_class"], figures["recall_drop"]) == ("a", pytest.approx(0.1))


@pytest.mark.parametrize(
    ("champion", "candidate", "changes", "failed"),
    [
        ((0, 1), (0,), {}, []),  # better by an image
        ((0,), (0, 1), {"max_recall_drop": None}, ["accuracy_difference"]),
        ((0,), (0, 1), {"max_regression": 0.05, "max_recall_drop": None}, []),
        ((0,), (0, 1), {"max_regression": 0.0499, "max_recall_drop": None}, ["accuracy_difference"]),
        ((0,), (1,), {}, ["accuracy_difference"]),  # as accurate, on other images: the champion stays
        ((0,), (1,), {"max_regression": 0.01}, []),
        ((0, 1), (10,), {}, ["recall_drop (b)"]),  # better in all, but not for class b
        ((0, 1), (10,), {"max_recall_drop": 0.1}, []),
        ((0, 1), (), {"require_significant": True}, ["mcnemar_p"]),  # p = 0.5
        (range(6), (), {"require_significant": True}, []),  # p = 0.03125
        (
            (),
            range(6),
            {"require_significant": True, "max_regression": 1.0, "max_recall_drop": None},
            ["mcnemar_p"],
        ),
    ],
)
def test_each_rule_has_its_bound(champion: Any, candidate: Any, changes: dict[str, Any], failed: list[str]):
    figures = compare(LABELS, wrong_at(*champion), wrong_at(*candidate), ["a", "b"])
    rules = judge_comparison(figures, STRICT.model_copy(update=changes))

    assert [rule.metric for rule in rules if not rule.passed] == failed


def test_the_p_value_is_always_reported():
    rules = judge_comparison(compare(LABELS, wrong_at(0), wrong_at(1), ["a", "b"]), STRICT)

    (p,) = [rule for rule in rules if rule.metric == "mcnemar_p"]
    assert (p.value, p.bound, p.passed) == (1.0, None, True)
