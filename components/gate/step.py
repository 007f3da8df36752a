"""The promotion gate: rules on the metrics of the evaluation. A model passes only if all rules pass."""

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


@dataclass(frozen=True)
class RuleVerdict:
    """The result of a rule. `value` is null if the metric is not a finite number; `reason` says so."""

    metric: str
    value: float | None
    sign: str
    bound: float
    passed: bool
    reason: str = ""


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


def gate(evaluated: Path, out: Path, params: GateParams) -> dict[str, Any]:
    """Applies the rules to an evaluation and writes the verdict. A rejection is not an error.

    Args:
        evaluated: Output folder of the evaluate step, with `evaluation.json`.
        out: Folder for `gate.json` and `gate.md`.
        params: The limits of the rules.

    Returns:
        The content of `gate.json`: `verdict` (`passed` or `rejected`), weights digest, data version, rules.

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
    """`passed` if every rule passed."""
    return "passed" if all(rule.passed for rule in rules) else "rejected"


def verdict_line(rules: Sequence[RuleVerdict]) -> str:
    """The verdict in one line: `passed`, or `rejected: accuracy 0.9100 < 0.92, …`."""
    opposite = {">=": "<", "<=": ">"}
    failures = [
        f"{rule.metric} {rule.reason or f'{rule.value:.4f} {opposite[rule.sign]} {rule.bound}'}"
        for rule in rules
        if not rule.passed
    ]
    return f"{verdict(rules)}: {', '.join(failures)}" if failures else verdict(rules)


def gate_table(rules: Sequence[RuleVerdict], style: str = "simple") -> str:
    """A text table of the rules."""
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
