"""The promotion gate: rules on the metrics of the evaluation, then the comparison with the champion.

A model passes only if all rules on its metrics pass. One that passes and beats the champion, by the rules of
the comparison, becomes champion when it is registered; one that only passes becomes challenger.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.common.files import staged, write_json
from components.common.rules import RuleVerdict, rules_table, verdict
from components.registry.champion import Candidate, compare_with_champion, sentence
from components.registry.comparison import judge_comparison

if TYPE_CHECKING:
    from components.gate.params import GateParams


@dataclass(frozen=True)
class Rule:
    """A metric, the parameter that limits it, and its highest meaningful value; the lowest one is 0."""

    parameter: str
    metric: str
    sign: Literal[">=", "<="]
    highest: float = 1.0


RULES = (
    Rule("accuracy_min", "accuracy", ">="),
    Rule("accuracy_lower_min", "accuracy_lower", ">="),
    Rule("worst_recall_min", "worst_recall", ">="),
    Rule("calibration_error_max", "calibration_error", "<="),
    Rule("model_megabytes_max", "model_megabytes", "<=", math.inf),
)


def judge(metrics: Any, params: GateParams) -> list[RuleVerdict]:
    """Applies every rule that has a limit. A metric that is not a number in its range fails."""
    verdicts = []
    for rule in RULES:
        bound = getattr(params, rule.parameter)
        if bound is None:
            continue
        value = metrics.get(rule.metric) if isinstance(metrics, dict) else None
        if type(value) is int and abs(value) < 2**53:
            value = float(value)
        reason, passed = "", False
        if value is None:
            reason = "(missing)"
        elif not isinstance(value, float) or not math.isfinite(value):
            value, reason = None, f"({value!r} is not a number)"
        elif not 0 <= value <= rule.highest:
            reason = f"(outside 0 to {rule.highest:g})"
        else:
            passed = value >= bound if rule.sign == ">=" else value <= bound
        verdicts.append(RuleVerdict(rule.metric, value, rule.sign, bound, passed, reason))
    return verdicts


def gate(candidate: Candidate, out: Path, params: GateParams, model_name: str) -> dict[str, Any]:
    """Judges an evaluated model and writes the verdict. A rejection is not an error.

    Args:
        candidate: The model that the earlier steps trained and evaluated.
        out: Folder for `gate.json` and `gate.md`.
        params: The limits of the rules.
        model_name: The registered model, whose champion is compared with; the tracking URI is set already.

    Returns:
        The content of `gate.json`: `verdict` (`passed` or `rejected`), `sentence`, weights digest, data
        version, `rules`, and `comparison` (see `compare_with_champion`; null without a champion, or if
        rejected).

    Raises:
        PipelineError: The evaluation is missing or not JSON.
        TrackingError: The registry cannot be reached.
    """
    evaluation = candidate.evaluation()
    passed = verdict(judge(evaluation.get("metrics"), params)) == "passed"
    comparison = compare_with_champion(candidate, model_name, params) if passed else None
    result = _result(evaluation, comparison, params)
    with staged(out) as stage:
        table = rules_table(all_rules(result), "github")
        (stage / "gate.md").write_text(f"**{result['sentence']}**\n\n{table}\n", encoding="utf-8")
        write_json(stage / "gate.json", result)
    return result


def judge_again(
    evaluation: dict[str, Any], comparison: dict[str, Any] | None, params: GateParams
) -> dict[str, Any]:
    """What `gate` returns, from an earlier comparison and other limits; nothing is measured or written."""
    if comparison and not comparison["error"]:
        rules = judge_comparison(comparison, params)
        comparison = comparison | {
            "rules": [asdict(rule) for rule in rules],
            "beats": verdict(rules) == "passed",
        }
    return _result(evaluation, comparison, params)


def _result(
    evaluation: dict[str, Any], comparison: dict[str, Any] | None, params: GateParams
) -> dict[str, Any]:
    rules = judge(evaluation.get("metrics"), params)
    return {
        "verdict": verdict(rules),
        "sentence": sentence(rules, comparison),
        "weights_digest": evaluation["weights_digest"],
        "data_version": evaluation["data_version"],
        "rules": [asdict(rule) for rule in rules],
        "comparison": comparison,
    }


def all_rules(result: dict[str, Any]) -> list[RuleVerdict]:
    """The rules in the content of `gate.json`, of the metrics and of the comparison."""
    comparison = result["comparison"] or {}
    return [RuleVerdict(**rule) for rule in (*result["rules"], *comparison.get("rules", ()))]
