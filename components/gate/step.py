"""The promotion gate: rules on the metrics of the evaluation, and one verdict. It fails closed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.common.files import read_json, staged, write_json

if TYPE_CHECKING:
    from components.gate.params import GateParams


@dataclass(frozen=True)
class Rule:
    """A metric, the bound that a parameter sets, and the range in which the metric makes sense."""

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


@dataclass(frozen=True)
class RuleVerdict:
    """What came of one rule. `value` is null where there is no usable number; `reason` says why."""

    metric: str
    value: float | None
    sign: str
    bound: float
    passed: bool
    reason: str = ""


def judge(metrics: Any, params: GateParams) -> list[RuleVerdict]:
    """Applies every rule that has a bound. A metric that is no number in its range fails its rule."""
    verdicts = []
    for rule in RULES:
        bound = getattr(params, rule.parameter)
        if bound is None:
            continue
        value = metrics.get(rule.metric) if isinstance(metrics, dict) else None
        if type(value) is int and abs(value) < 2**53:
            value = float(value)
        if value is None:
            verdicts.append(RuleVerdict(rule.metric, None, rule.sign, bound, False, "(missing)"))
        elif not isinstance(value, float) or not math.isfinite(value):
            reason = f"({value!r} is not a number)"
            verdicts.append(RuleVerdict(rule.metric, None, rule.sign, bound, False, reason))
        elif not 0 <= value <= rule.highest:
            reason = f"(outside 0 to {rule.highest:g})"
            verdicts.append(RuleVerdict(rule.metric, value, rule.sign, bound, False, reason))
        else:
            passed = value >= bound if rule.sign == ">=" else value <= bound
            verdicts.append(RuleVerdict(rule.metric, value, rule.sign, bound, passed))
    return verdicts


def gate(evaluated: Path, out: Path, params: GateParams) -> dict[str, Any]:
    """Judges an evaluation and writes the verdict.

    Args:
        evaluated: Folder of the evaluate step: `evaluation.json`.
        out: Folder that receives `gate.json` and `gate.md`.
        params: The rules.

    Returns:
        What `gate.json` holds: `verdict` (`passed` or `rejected`), whose weights it is about, and
        each rule with its value, its bound and its own verdict. A rejection is no error.

    Raises:
        PipelineError: The evaluation is missing or not JSON.
    """
    evaluation = read_json(evaluated / "evaluation.json", "evaluate")
    verdicts = judge(evaluation.get("metrics"), params)
    result = {
        "verdict": verdict(verdicts),
        "weights_digest": evaluation["weights_digest"],
        "data_version": evaluation["data_version"],
        "rules": [asdict(rule) for rule in verdicts],
    }
    with staged(out) as stage:
        (stage / "gate.md").write_text(
            f"**{result['verdict']}**\n\n{gate_table(verdicts, 'github')}\n", encoding="utf-8"
        )
        write_json(stage / "gate.json", result)
    return result


def verdict(rules: Sequence[RuleVerdict]) -> Literal["passed", "rejected"]:
    """`passed` when every rule passed."""
    return "passed" if all(rule.passed for rule in rules) else "rejected"


def verdict_line(rules: Sequence[RuleVerdict]) -> str:
    """The verdict in a line: `passed`, or `rejected: accuracy 0.9100 < 0.92`, rule after rule."""
    opposite = {">=": "<", "<=": ">"}
    faults = [
        f"{rule.metric} {rule.reason or f'{rule.value:.4f} {opposite[rule.sign]} {rule.bound}'}"
        for rule in rules
        if not rule.passed
    ]
    return f"{verdict(rules)}: {', '.join(faults)}" if faults else verdict(rules)


def gate_table(rules: Sequence[RuleVerdict], style: str = "simple") -> str:
    """A table for people: each rule with its value, its bound and its verdict."""
    from tabulate import tabulate

    rows = [
        (
            rule.metric,
            "?" if rule.value is None else f"{rule.value:.4f}",
            f"{rule.sign} {rule.bound}",
            " ".join(["passed" if rule.passed else "rejected", rule.reason]).strip(),
        )
        for rule in rules
    ]
    return tabulate(rows, ("rule", "value", "bound", "verdict"), tablefmt=style, disable_numparse=True)
