"""Verdicts of rules: a value, its bound, and whether it passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class RuleVerdict:
    """The result of a rule.

    `value` is null if the metric is not a finite number; `reason` says so. `bound` is null for a value that
    is only reported.
    """

    metric: str
    value: float | None
    sign: str
    bound: float | None
    passed: bool
    reason: str = ""


def verdict(rules: Sequence[RuleVerdict]) -> Literal["passed", "rejected"]:
    """`passed` if every rule passed."""
    return "passed" if all(rule.passed for rule in rules) else "rejected"


def failures(rules: Sequence[RuleVerdict]) -> str:
    """What failed, in a line: `accuracy 0.9100 < 0.92, …`."""
    opposite = {">=": "<", "<=": ">"}
    return ", ".join(
        f"{rule.metric} {rule.reason or f'{rule.value:.4f} {opposite[rule.sign]} {rule.bound}'}"
        for rule in rules
        if not rule.passed
    )


def rules_table(rules: Sequence[RuleVerdict], style: str = "simple") -> str:
    """A text table of the rules."""
    from tabulate import tabulate

    rows = [
        (
            rule.metric,
            "?" if rule.value is None else f"{rule.value:.4f}",
            "" if rule.bound is None else f"{rule.sign} {rule.bound}",
            f"{_word(rule)} {rule.reason}".strip(),
        )
        for rule in rules
    ]
    return tabulate(rows, ("rule", "value", "bound", "verdict"), tablefmt=style, disable_numparse=True)


def _word(rule: RuleVerdict) -> str:
    if rule.bound is None:
        return "reported"
    return "passed" if rule.passed else "rejected"
