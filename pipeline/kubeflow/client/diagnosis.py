"""Failure diagnosis: KFP's API gives no reason, so this asks the step's status, its pod, Argo and the log."""

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
OWN_ERROR = r"^error: (.*(?:\n  .*)*)(?:\nwhat to do: (.*))?"
"""An error that a step printed, with its hint."""
TRACEBACK = r"^Traceback \(.*(?:\n[ \t].*)+\n(\S.*)()"


@dataclass(frozen=True)
class Failure:
    """Why a run failed.

    Args:
        step: The step that failed; empty if none is known.
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
    statuses: Mapping[str, StepStatus],
    pods: Pods,
    pods_of_run: Sequence[Pod],
) -> Failure:
    """The first step that failed, with the reason from the first source that has one.

    Args:
        run: The run.
        url: The page to name if there is no reason.
        steps: The states of the run's steps.
        statuses: The statuses that the steps stored.
        pods: Access to the cluster's pods.
        pods_of_run: The run's pods.
    """
    failed = next((step for step in steps if step.state == "failed"), None)
    name, path = (failed.step, failed.path) if failed else (_failed_driver(run), "root")
    status = statuses.get(name)
    if status and status.state == "failed":
        return Failure(name, status.error, status.hint)
    attempts = [pod for pod in pods_of_run if pod.path.startswith(f"{path}.executor")]
    reasons = [attempts[-1].reason] if attempts else []
    workflow = pods.workflow(run.run_id)
    faults = sorted(workflow.faults.items()) if workflow else ()
    reasons += [text for place, text in faults if place.startswith(path)]
    log = pods.log(attempts[-1]) if attempts else ""
    for text, pattern in (*((reason, OWN_ERROR) for reason in reasons), (log, OWN_ERROR), (log, TRACEBACK)):
        found = re.findall(pattern, text, re.MULTILINE)
        if found:
            return Failure(name, *found[-1])
    reason = next(filter(None, reasons), KILLED if status else "")
    if not reason:
        return Failure(name, "KFP does not tell why", f"look at {url}")
    return Failure(name, reason, REMEDIES.get(reason.partition(":")[0], ""))


def _failed_driver(run: Any) -> str:
    """The step whose driver failed, so that it did not start; empty if there is none."""
    tasks = (run.run_details and run.run_details.task_details) or ()
    names = [str(task.display_name) for task in tasks if task.display_name and task.state == "FAILED"]
    drivers = (name.removesuffix("-driver") for name in names if name.endswith("-driver"))
    return next((name for name in drivers if name != "root"), "")
