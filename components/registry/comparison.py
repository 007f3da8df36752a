"""Champion and challenger on the same test images: figures, and the rules of the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.rules import RuleVerdict

if TYPE_CHECKING:
    from components.common.idx import Bytes
    from components.registry.params import ComparisonParams

SIGNIFICANT = 0.05
RESAMPLES = 2000


def compare(labels: Bytes, champion: Bytes, candidate: Bytes, classes: Sequence[str]) -> dict[str, Any]:
    """Compares the predictions of two models.

    Args:
        labels: True classes, uint8 `(n,)`.
        champion: Predicted classes of the champion, uint8 `(n,)`.
        candidate: Predicted classes of the candidate, uint8 `(n,)`.
        classes: Class names.

    Returns:
        `images`; `accuracy` and `champion_accuracy`; their `difference`, with its 95 % interval
        (`difference_low`, `difference_high`: percentiles of a paired bootstrap, B. Efron, Annals of
        Statistics 7, 1979, with a fixed seed); `only_right` and `champion_only_right`, the images that one
        model alone classifies rightly; `mcnemar_p`, McNemar's test on these (Q. McNemar, Psychometrika 12,
        1947; exact, two-sided); `changed`, the images for which the predictions differ; `recall_drop`, the
        largest loss of a class's recall (below 0 if all rise), and `recall_drop_class`.
    """
    from scipy.stats import binomtest, bootstrap

    right, champion_right = candidate == labels, champion == labels
    only = int((right & ~champion_right).sum())
    champion_only = int((champion_right & ~right).sum())
    low = high = 0.0
    if only + champion_only:
        step = right.astype(np.float64) - champion_right
        interval = bootstrap(
            (step,),
            np.mean,
            n_resamples=RESAMPLES,
            batch=100,
            method="percentile",
            rng=0,
        ).confidence_interval
        low, high = float(interval.low), float(interval.high)
    drops = {
        name: float(champion_right[labels == i].mean() - right[labels == i].mean())
        for i, name in enumerate(classes)
        if (labels == i).any()
    }
    worst = max(drops, key=lambda name: drops[name])
    return {
        "images": len(labels),
        "accuracy": float(right.mean()),
        "champion_accuracy": float(champion_right.mean()),
        "difference": (only - champion_only) / len(labels),
        "difference_low": low,
        "difference_high": high,
        "only_right": only,
        "champion_only_right": champion_only,
        "changed": int((candidate != champion).sum()),
        "mcnemar_p": float(binomtest(only, only + champion_only).pvalue) if only + champion_only else 1.0,
        "recall_drop": drops[worst],
        "recall_drop_class": worst,
    }


def judge_comparison(figures: dict[str, Any], params: ComparisonParams) -> list[RuleVerdict]:
    """Applies the rules of the comparison to the figures of `compare`.

    With `max_regression` 0, equal accuracy is not enough, unless all predictions are the same.
    """
    difference, bound = figures["difference"], 0.0 - params.max_regression
    tie = difference == 0 and figures["changed"] > 0 and params.max_regression == 0
    rules = [
        RuleVerdict(
            "accuracy_difference",
            difference,
            ">=",
            bound,
            difference >= bound and not tie,
            "(as accurate as the champion, which stays)" if tie else "",
        )
    ]
    if params.max_recall_drop is not None:
        drop = figures["recall_drop"]
        metric = f"recall_drop ({figures['recall_drop_class']})"
        rules.append(RuleVerdict(metric, drop, "<=", params.max_recall_drop, drop <= params.max_recall_drop))
    p = figures["mcnemar_p"]
    if params.require_significant:
        rises = p <= SIGNIFICANT and figures["difference"] > 0
        reason = "" if rises or p > SIGNIFICANT else "(significant, but the accuracy falls)"
        rules.append(RuleVerdict("mcnemar_p", p, "<=", SIGNIFICANT, rises, reason))
    else:
        rules.append(RuleVerdict("mcnemar_p", p, "", None, True))
    return rules
