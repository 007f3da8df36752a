"""Waiting for a run: the state of each step as it changes; at the end its result, and why it failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.common.errors import ClusterError, PipelineError
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.connection import UnreachableError
from pipeline.kubeflow.client.diagnosis import Failure, diagnose
from pipeline.kubeflow.client.observe import Observer
from pipeline.kubeflow.client.pods import Pod, Pods, state_storage_url, with_deleted
from pipeline.kubeflow.client.progress import StepState, describe, pod_label, progress, steps_of, was_stopped
from pipeline.kubeflow.runtime.step_status import StepStatus, read_statuses

POLL_SECONDS = 3.0
MAX_UNANSWERED_POLLS = 40
"""Polls in a row in which neither KFP nor Argo's workflow may be readable."""
START_SECONDS = 180.0
"""How long a pod may be unable to start, for example because its image cannot be pulled."""


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended.

    Args:
        run_id: KFP's id.
        state: KFP's final state, or `STOPPED` where somebody terminated it.
        seconds: Duration.
        steps: The final states of its steps.
        not_run: The steps that it did not reach.
        results: The result of each step that has a status in the state storage.
        failure: Why it failed; None if it succeeded.
    """

    run_id: str
    state: str
    seconds: float
    steps: list[StepState]
    not_run: list[str]
    results: dict[str, str] = field(default_factory=dict)
    failure: Failure | None = None


def wait_until_finished(
    kfp: Kfp,
    run_id: str,
    on_change: Callable[[StepState], None],
    report: Callable[[str], None],
    timeout: float | None = None,
) -> FinishedRun:
    """Waits until a run has ended.

    Args:
        kfp: KFP's API.
        run_id: The run.
        on_change: Called with each step whose state has changed.
        report: Called with a message when KFP's API stops or starts answering, or is overruled by Argo.
        timeout: Seconds after which to give up. None: never.

    Raises:
        UnreachableError: The server does not answer any more.
        ClusterError: The timeout is over, a pod cannot start, or there is no such run.
    """
    observer = Observer(kfp, run_id, report)
    last_states: dict[str, StepState] = {}
    started = time.monotonic()
    while True:
        snapshot = observer.poll()
        if observer.unanswered_polls > MAX_UNANSWERED_POLLS:
            raise UnreachableError(f"{observer.kfp_error}; the run goes on", next_commands(run_id))
        if snapshot.run is not None:
            steps = progress(snapshot.run, with_deleted(snapshot.pods, snapshot.workflow))
            for step in steps:
                last = last_states.get(step.path)
                if last is None or (last.state, last.detail) != (step.state, step.detail):
                    on_change(step)
                last_states[step.path] = step
            if snapshot.ended:
                return _finished(kfp, snapshot.run, steps, observer.pods, snapshot.pods)
            if pod := observer.blocked_pod(snapshot.pods, START_SECONDS):
                raise _cannot_start(snapshot.run, pod)
        if timeout is not None and time.monotonic() - started >= timeout:
            raise ClusterError(_timeout_message(timeout, last_states.values()), next_commands(run_id))
        time.sleep(POLL_SECONDS)


def _finished(
    kfp: Kfp, run: Any, steps: list[StepState], pods: Pods, pods_of_run: Sequence[Pod]
) -> FinishedRun:
    statuses = _statuses(run.run_id, pods)
    started = {step.path for step in steps}
    stopped = was_stopped(run)
    failure = None
    if stopped:
        failure = Failure("", "somebody stopped the run")
    elif run.state != "SUCCEEDED":
        failure = diagnose(run, kfp.url(run.run_id), steps, statuses, pods, pods_of_run)
    return FinishedRun(
        run_id=run.run_id,
        state="STOPPED" if stopped else run.state,
        seconds=(run.finished_at - run.created_at).total_seconds(),
        steps=steps,
        not_run=[step.label for step in steps_of(run) if step.path not in started],
        results={step: status.line for step, status in statuses.items() if status.line},
        failure=failure,
    )


def _statuses(run_id: str, pods: Pods) -> dict[str, StepStatus]:
    url = state_storage_url(pods)
    try:
        return read_statuses(url, run_id) if url else {}
    except PipelineError:  # without them the report is just shorter
        return {}


def _timeout_message(seconds: float, steps: Iterable[StepState]) -> str:
    active = [step for step in steps if step.state in ("waiting", "starting", "running")]
    states = "".join(f"; {step.step} is {describe(step)}" for step in active)
    return f"after {seconds:g} s the run is not at its end, and goes on{states}"


def _cannot_start(run: Any, pod: Pod) -> ClusterError:
    if pod.lacks_image:
        problem = f"the image {pod.image} cannot be pulled"
        remedy = "load the image into the cluster, or push it to its registry"
    else:
        problem, remedy = "its container cannot be made", "correct that"
    return ClusterError(
        f"{pod_label(run, pod)} cannot start, {problem}: {pod.reason}; the run would wait for it without end",
        f"{remedy}, and wait on: fashion runs wait {run.run_id}; "
        f"or end the run: fashion runs stop {run.run_id}, and submit it with another image: --image IMAGE",
    )


def next_commands(run_id: str) -> str:
    """The hint for a run that goes on while nobody waits for it."""
    return f"wait on: fashion runs wait {run_id}; end it: fashion runs stop {run_id}"
