"""The gate: each rule, and that it fails closed."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import PipelineError
from components.common.rules import verdict
from components.gate.params import GateParams
from components.gate.step import gate, judge, judge_again
from components.registry.champion import Candidate
from tests.support.project import MODEL, Project

PARAMS = GateParams(
    accuracy_min=0.92,
    accuracy_lower_min=0.91,
    worst_recall_min=0.7,
    calibration_error_max=0.1,
    model_megabytes_max=2.0,
    max_regression=0.0,
    max_recall_drop=None,
    require_significant=False,
)
GOOD: dict[str, Any] = {
    "accuracy": 0.93,
    "accuracy_lower": 0.925,
    "worst_recall": 0.78,
    "calibration_error": 0.05,
    "model_megabytes": 1.6,
}


def test_a_good_model_passes_every_rule():
    rules = judge(GOOD, PARAMS)

    assert [(rule.metric, rule.passed) for rule in rules] == [(name, True) for name in GOOD]
    assert verdict(rules) == "passed"


@pytest.mark.parametrize(
    ("metric", "value", "passed"),
    [
        ("accuracy", 0.92, True),
        ("accuracy", 0.9199999, False),
        ("accuracy_lower", 0.9099, False),
        ("worst_recall", 0.69, False),
        ("calibration_error", 0.1, True),
        ("calibration_error", 0.1001, False),
        ("model_megabytes", 2.0, True),
        ("model_megabytes", 2.01, False),
    ],
)
def test_a_bound_counts_as_met(metric: str, value: float, passed: bool):
    rules = judge(GOOD | {metric: value}, PARAMS)

    assert {rule.metric for rule in rules if not rule.passed} == (set() if passed else {metric})


@pytest.mark.parametrize(
    "value",
    [None, math.nan, math.inf, -math.inf, -0.1, 1.1, 10**400, "0.99", True, [0.99]],
    ids=lambda v: repr(v)[:9],
)
@pytest.mark.parametrize("metric", ["accuracy", "calibration_error"])
def test_what_is_no_number_in_range_is_rejected(metric: str, value: Any):
    rules = judge(GOOD | {metric: value}, PARAMS)

    failed = [rule for rule in rules if not rule.passed]
    assert [rule.metric for rule in failed] == [metric]
    assert failed[0].reason


@pytest.mark.parametrize("metrics", [{}, None, [], "passed", 1.0], ids=repr)
def test_without_metrics_every_rule_rejects(metrics: Any):
    rules = judge(metrics, PARAMS)

    assert len(rules) == len(GOOD)
    assert not any(rule.passed for rule in rules)


def test_a_rule_set_to_null_is_not_applied_but_accuracy_always_is():
    others = ("accuracy_lower_min", "worst_recall_min", "calibration_error_max", "model_megabytes_max")
    only = PARAMS.model_copy(update=dict.fromkeys(others))

    assert [rule.metric for rule in judge(GOOD, only)] == ["accuracy"]


def judge_in(folder: Path) -> dict[str, Any]:
    """Judges the evaluation in a folder; the registry is not reached."""

    def no_data(version: str, _: Path) -> None:
        raise AssertionError(version)

    return gate(Candidate(folder, folder, folder, 1, no_data), folder / "gate", PARAMS, MODEL)


def write_evaluation(folder: Path, metrics: dict[str, Any]) -> None:
    content = {"weights_digest": "w", "data_version": "d", "metrics": metrics}
    (folder / "evaluation.json").write_text(json.dumps(content))


def test_the_verdict_is_written_for_machines_and_people(tmp_path: Path):
    write_evaluation(tmp_path, GOOD | {"accuracy": 0.9})

    result = judge_in(tmp_path)

    written = json.loads((tmp_path / "gate" / "gate.json").read_text())
    assert written == result
    assert (written["verdict"], written["weights_digest"], written["data_version"]) == ("rejected", "w", "d")
    assert written["rules"][0] == {
        "metric": "accuracy",
        "value": 0.9,
        "sign": ">=",
        "bound": 0.92,
        "passed": False,
        "reason": "",
    }
    assert (
        "| accuracy          | 0.9000  | >= 0.92 | rejected  |" in (tmp_path / "gate" / "gate.md").read_text()
    )


@pytest.mark.parametrize(("max_regression", "beats"), [(0.01, True), (0.0099, False)])
def test_an_earlier_comparison_is_judged_by_other_limits(max_regression: float, beats: bool):
    figures = {
        "champion": {"version": 3},
        "error": "",
        "images": 100,
        **{"accuracy": 0.93, "champion_accuracy": 0.94, "difference": -0.01, "changed": 5},
        **{"difference_low": -0.03, "difference_high": 0.01, "mcnemar_p": 1.0},
        **{"recall_drop": 0.1, "recall_drop_class": "Shirt", "rules": [], "beats": False, "old_data": None},
    }
    params = PARAMS.model_copy(update={"max_regression": max_regression})

    result = judge_again({"weights_digest": "w", "data_version": "d", "metrics": GOOD}, figures, params)

    assert result["verdict"] == "passed"
    assert result["comparison"]["beats"] is beats
    assert result["sentence"].startswith(
        "passed, and beats champion 3" if beats else "passed, but does not beat champion 3"
    )


def test_a_nan_in_the_file_is_written_as_null_and_rejected(tmp_path: Path):
    write_evaluation(tmp_path, GOOD | {"accuracy": math.nan})

    assert judge_in(tmp_path)["verdict"] == "rejected"
    assert json.loads((tmp_path / "gate" / "gate.json").read_text())["rules"][0]["value"] is None


@pytest.mark.parametrize("content", [None, "", "{", "NaN?"])
def test_a_missing_or_broken_evaluation_is_an_error_and_leaves_no_verdict(
    tmp_path: Path, content: str | None
):
    if content is not None:
        (tmp_path / "evaluation.json").write_text(content)

    with pytest.raises(PipelineError, match=r"evaluation.json"):
        judge_in(tmp_path)

    assert not (tmp_path / "gate").exists()


def test_the_command_judges_by_the_parameters_of_now_and_writes_nothing(project: Project):
    before = (project.root / "outputs/gate/gate.json").read_bytes()
    (project.root / "outputs/evaluate/metrics.json").write_text('{"accuracy": 1.0}')  # fools nobody
    assert "gate: passed" in project.fashion("gate", "--strict").stdout

    project.change("gate", "accuracy_min", 0.999)

    assert "gate: rejected" in project.fashion("gate").stdout
    assert "gate: rejected" in project.fashion("gate", "--strict", code=1).stdout
    assert (project.root / "outputs/gate/gate.json").read_bytes() == before

    (project.root / "outputs/evaluate/evaluation.json").unlink()
    assert "evaluation.json is missing" in project.fashion("gate", code=1).stderr
