"""Why a run failed. KFP's API does not tell, so the step status, the pods, Argo and the logs are searched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.kubeflow.client.pods import Pod, Pods
from pipeline.kubeflow.client.progress import StepState
from pipeline.kubeflow.runtime.step_status import KILLED, StepStatus

HINTS = {
    "OOMKilled": "it had too little memory: --memory",
    "DeadlineExceeded": "it took too long: --time-limit",
    "Evicted": "its node ran out of a resource; try again",
}
PIPELINE_ERROR = r"^error: (.*(?:\n  .*)*)(?:\nwhat to do: (.*))?"
"""How a step prints a PipelineError: message and hint."""
TRACEBACK = r"^Traceback \(.*(?:\n[ \t].*)+\n(\S.*)()"
"""A traceback of Python: the last line, and no hint."""


@dataclass(frozen=True)
class Failure:
    """Why a run failed; `step` is empty where the failed step is unknown."""

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
    """The first step that failed, and why: from its status, its pod's last message, Argo, or its log.

    Args:
        run: The run.
        url: The run's page in KFP's UI, for the hint if no reason is found.
        steps: The states of its steps.
        statuses: The step statuses in the state storage, by step.
        pods: The cluster's pods.
        pods_of_run: Those of the run, oldest first.
    """
    failed = next((step for step in steps if step.state == "failed"), None)
    name, path = (failed.step, failed.path) if failed else (_failed_driver(run), "root")
    status = statuses.get(name)
    if status and status.state == "failed":
        return Failure(name, status.error, status.hint)
    pods_of_step = [pod for pod in pods_of_run if pod.path.startswith(f"{path}.executor")]
    reasons = [pods_of_step[-1].reason] if pods_of_step else []
    workflow = pods.workflow(run.run_id)
    argo_errors = sorted(workflow.pod_errors.items()) if workflow else ()
    reasons += [error for pod_path, error in argo_errors if pod_path.startswith(path)]
    log = pods.log(pods_of_step[-1]) if pods_of_step else ""
    sources = [(reason, PIPELINE_ERROR) for reason in reasons]
    for text, pattern in (*sources, (log, PIPELINE_ERROR), (log, TRACEBACK)):
        found = re.findall(pattern, text, re.MULTILINE)
        if found:
            return Failure(name, *found[-1])
    reason = next(filter(None, reasons), KILLED if status else "")
    if not reason:
        return Failure(name, "KFP does not tell why", f"look at {url}")
    return Failure(name, reason, HINTS.get(reason.partition(":")[0], ""))


def _failed_driver(run: Any) -> str:
    """The step whose driver failed; empty if none did."""
    tasks = (run.run_details and run.run_details.task_details) or ()
    failed = [str(task.display_name) for task in tasks if task.display_name and task.state == "FAILED"]
    steps = (name.removesuffix("-driver") for name in failed if name.endswith("-driver"))
    return next((step for step in steps if step != "root"), "")
