"""Waits for the end of a run: each change of a step's state, then the result, and the reason of a failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from components.common.errors import ClusterError, PipelineError
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.connection import UnreachableError
from pipeline.kubeflow.client.diagnosis import Failure, diagnose
from pipeline.kubeflow.client.observe import Limits, Observer
from pipeline.kubeflow.client.pods import Pod, Pods, state_location, with_lost
from pipeline.kubeflow.client.progress import (
    StepState,
    describe,
    pod_label,
    progress,
    steps_of,
    was_stopped,
)
from pipeline.kubeflow.runtime.step_status import StepStatus, read_statuses

LIMITS = Limits()


@dataclass(frozen=True)
class EndedRun:
    """A run that has ended.

    Args:
        run_id: Its id.
        state: KFP's name of the final state; `STOPPED` if the run was stopped.
        seconds: Duration.
        steps: The final states of the steps.
        not_run: The steps that did not start.
        results: The result line of each step that stored one.
        failure: Why the run did not succeed.
    """

    run_id: str
    state: str
    seconds: float
    steps: list[StepState]
    not_run: list[str]
    results: dict[str, str] = field(default_factory=dict)
    failure: Failure | None = None


def wait_until_ended(
    kfp: Kfp,
    run_id: str,
    on_change: Callable[[StepState], None],
    timeout: float | None = None,
    limits: Limits = LIMITS,
    notify: Callable[[str], None] = lambda _: None,
) -> EndedRun:
    """Waits until a run has ended.

    Args:
        kfp: The server.
        run_id: The run.
        on_change: Receives each step whose state has changed.
        timeout: Seconds after which to give up. None: never.
        limits: How long to wait for what.
        notify: Receives a line when KFP's API stops or starts to answer, or is behind Argo.

    Raises:
        ClusterError: Time is up, a pod cannot start, the server is gone, or there is no such run.
    """
    observer = Observer(kfp, run_id, notify, limits)
    before: dict[str, StepState] = {}
    since = time.monotonic()
    while True:
        view = observer.poll()
        if observer.silent_polls > limits.patience:
            raise UnreachableError(f"{observer.unreachable}; the run goes on", next_commands(run_id))
        if view.run is not None:
            steps = progress(view.run, with_lost(view.pods, view.workflow))
            for step in steps:
                last = before.get(step.path)
                if last is None or (last.state, last.detail) != (step.state, step.detail):
                    on_change(step)
                before[step.path] = step
            if view.ended:
                return _ended(kfp, view.run, steps, observer.pods, view.pods)
            if pod := observer.blocked(view.pods):
                raise _cannot_start(view.run, pod)
        if timeout is not None and time.monotonic() - since >= timeout:
            raise ClusterError(_out_of_time(timeout, list(before.values())), next_commands(run_id))
        time.sleep(limits.poll)


def next_commands(run_id: str) -> str:
    """The commands for a run that is not waited for any more."""
    return f"wait on: fashion runs wait {run_id}; end it: fashion runs stop {run_id}"


def _ended(kfp: Kfp, run: Any, steps: list[StepState], pods: Pods, pods_of_run: list[Pod]) -> EndedRun:
    statuses = _statuses(run.run_id, pods)
    started = {step.path for step in steps}
    stopped = was_stopped(run)
    failure = None
    if stopped:
        failure = Failure("", "somebody stopped the run")
    elif run.state != "SUCCEEDED":
        failure = diagnose(run, kfp.url(run.run_id), steps, statuses, pods, pods_of_run)
    return EndedRun(
        run_id=run.run_id,
        state="STOPPED" if stopped else run.state,
        seconds=(run.finished_at - run.created_at).total_seconds(),
        steps=steps,
        not_run=[step.label for step in steps_of(run) if step.path not in started],
        results={step: status.line for step, status in statuses.items() if status.line},
        failure=failure,
    )


def _statuses(run_id: str, pods: Pods) -> dict[str, StepStatus]:
    """The statuses that the steps stored; empty if they cannot be read from here."""
    location = state_location(pods)
    try:
        return read_statuses(location, run_id) if location else {}
    except PipelineError:
        return {}


def _out_of_time(seconds: float, steps: list[StepState]) -> str:
    unfinished = [step for step in steps if step.state in ("waiting", "starting", "running")]
    where = "".join(f"; {step.step} is {describe(step)}" for step in unfinished)
    return f"after {seconds:g} s the run is not at its end, and goes on{where}"


def _cannot_start(run: Any, pod: Pod) -> ClusterError:
    what, mend = "its container cannot be made", "mend that"
    if pod.lacks_image:
        what = f"the image {pod.image} cannot be pulled"
        mend = "load the image into the cluster, or push it into its registry"
    return ClusterError(
        f"{pod_label(run, pod)} cannot start, {what}: {pod.reason}; the run would wait for it without end",
        f"{mend}, and wait on: fashion runs wait {run.run_id}; "
        f"or end the run: fashion runs stop {run.run_id}, and submit it with another image: --image IMAGE",
    )
