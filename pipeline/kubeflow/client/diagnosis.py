"""Why a run failed: KFP does not tell, so this asks whoever may know, one after the other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.kubeflow.client.pods import Pod, Pods
from pipeline.kubeflow.client.progress import StepState
from pipeline.kubeflow.runtime.step_status import KILLED, StepStatus

REMEDIES = {
    "OOMKilled": "it had too little memory: --memory",
    "DeadlineExceeded": "it took too long: --time-limit",
    "Evicted": "its node ran out of something; try again",
}
OWN_WORDS = r"^error: (.*(?:\n  .*)*)(?:\nwhat to do: (.*))?"
"""How a step says what the user can mend."""
TRACEBACK = r"^Traceback \(.*(?:\n[ \t].*)+\n(\S.*)()"
"""How Python says what the user cannot."""


@dataclass(frozen=True)
class Failure:
    """Why a run failed.

    Args:
        step: The step that failed, or an empty text where none is known.
        error: What was wrong.
        hint: What to do about it.
    """

    step: str
    error: str
    hint: str = ""


def diagnose(
    run: Any,
    url: str,
    steps: Sequence[StepState],
    notes: Mapping[str, StepStatus],
    pods: Pods,
    seen: Sequence[Pod],
) -> Failure:
    """The first step that failed, and why: from its note, its pod's last words, from Argo, or from its log.

    Args:
        run: The run.
        url: Where to look if nobody knows.
        steps: What became of its steps.
        notes: What they left.
        pods: The cluster's pods.
        seen: Those of the run.
    """
    failed = next((step for step in steps if step.state == "failed"), None)
    name, path = (failed.step, failed.path) if failed else (_failed_driver(run), "root")
    note = notes.get(name)
    if note and note.state == "failed":
        return Failure(name, note.error, note.hint)
    mine = [pod for pod in seen if pod.path.startswith(f"{path}.executor")]
    reasons = [mine[-1].reason] if mine else []
    workflow = pods.workflow(run.run_id)
    faults = sorted(workflow.faults.items()) if workflow else ()
    reasons += [text for place, text in faults if place.startswith(path)]
    log = pods.log(mine[-1]) if mine else ""
    for text, pattern in (*((reason, OWN_WORDS) for reason in reasons), (log, OWN_WORDS), (log, TRACEBACK)):
        said = re.findall(pattern, text, re.MULTILINE)
        if said:
            return Failure(name, *said[-1])
    reason = next(filter(None, reasons), KILLED if note else "")
    if not reason:
        return Failure(name, "KFP does not tell why", f"look at {url}")
    return Failure(name, reason, REMEDIES.get(reason.partition(":")[0], ""))


def _failed_driver(run: Any) -> str:
    """The step that failed before it began, or an empty text."""
    tasks = (run.run_details and run.run_details.task_details) or ()
    names = [str(task.display_name) for task in tasks if task.display_name and task.state == "FAILED"]
    drivers = (name.removesuffix("-driver") for name in names if name.endswith("-driver"))
    return next((name for name in drivers if name != "root"), "")
