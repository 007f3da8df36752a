"""Waiting for a run: each step's state as it changes, and in the end what came of it, and why it failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.common.errors import ClusterError, PipelineError
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.connection import UnreachableError
from pipeline.kubeflow.client.diagnosis import Failure, diagnose
from pipeline.kubeflow.client.observe import GRACE_SECONDS, Observer
from pipeline.kubeflow.client.pods import Pod, Pods, state_location, with_lost
from pipeline.kubeflow.client.progress import StepState, describe, pod_label, progress, steps_of, was_stopped
from pipeline.kubeflow.runtime.step_status import StepStatus, read_statuses

POLL_SECONDS = 3.0
PATIENCE = 40
"""Polls in a row without an answer after which waiting is given up."""
START_SECONDS = 180.0
"""How long a pod may be kept from starting, as by an image that cannot be pulled; then waiting ends."""


@dataclass(frozen=True)
class Ended:
    """A run that has come to its end.

    Args:
        run_id: Its id.
        state: KFP's word for its end; `STOPPED` where somebody ended it.
        seconds: How long it took.
        steps: What became of its steps.
        not_run: The steps that it did not come to.
        results: What each step said of its result, by step; of those that left a note.
        failure: Why it did not succeed.
    """

    run_id: str
    state: str
    seconds: float
    steps: list[StepState]
    not_run: list[str]
    results: dict[str, str] = field(default_factory=dict)
    failure: Failure | None = None


def watch(
    kfp: Kfp,
    run_id: str,
    on_change: Callable[[StepState], None],
    timeout: float | None = None,
    poll_seconds: float = POLL_SECONDS,
    patience: int = PATIENCE,
    start_seconds: float = START_SECONDS,
    grace_seconds: float = GRACE_SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> Ended:
    """Waits until a run has ended.

    Args:
        kfp: The server.
        run_id: The run.
        on_change: Is told of each step that is in another state than before.
        timeout: Seconds after which to give up. None: never.
        poll_seconds: How long to wait between two looks.
        patience: Looks in a row that may fail because neither KFP nor Argo's workflow can be seen.
        start_seconds: How long a pod may be kept from starting.
        grace_seconds: How long KFP may be behind Argo with the run's end.
        say: Is told when KFP's API is away, is back, or is not believed.

    Raises:
        ClusterError: Time is up, a pod cannot start, the server is gone, or there is no such run.
    """
    observer = Observer(kfp, run_id, say, grace_seconds)
    before: dict[str, StepState] = {}
    since = time.monotonic()
    while True:
        view = observer.look()
        if observer.silent > patience:
            raise UnreachableError(f"{observer.away}; the run goes on", next_commands(run_id))
        if view.run is not None:
            steps = progress(view.run, with_lost(view.pods, view.workflow))
            for step in steps:
                if _told(before.get(step.path)) != _told(step):
                    on_change(step)
                before[step.path] = step
            if view.ended:
                return _ended(kfp, view.run, steps, observer.pods, view.pods)
            if pod := observer.blocked(view.pods, start_seconds):
                raise _cannot_start(view.run, pod)
        if timeout is not None and time.monotonic() - since >= timeout:
            raise ClusterError(_out_of_time(timeout, list(before.values())), next_commands(run_id))
        time.sleep(poll_seconds)


def _ended(kfp: Kfp, run: Any, steps: list[StepState], pods: Pods, seen: Sequence[Pod]) -> Ended:
    notes = _notes(run.run_id, pods)
    begun = {step.path for step in steps}
    stopped = was_stopped(run)
    failure = None
    if stopped:
        failure = Failure("", "somebody stopped the run")
    elif run.state != "SUCCEEDED":
        failure = diagnose(run, kfp.url(run.run_id), steps, notes, pods, seen)
    return Ended(
        run_id=run.run_id,
        state="STOPPED" if stopped else run.state,
        seconds=(run.finished_at - run.created_at).total_seconds(),
        steps=steps,
        not_run=[step.label for step in steps_of(run) if step.path not in begun],
        results={step: note.line for step, note in notes.items() if note.line},
        failure=failure,
    )


def _notes(run_id: str, pods: Pods) -> dict[str, StepStatus]:
    location = state_location(pods)
    try:
        return read_statuses(location, run_id) if location else {}
    except PipelineError:  # they are a help, no condition
        return {}


def _told(step: StepState | None) -> tuple[str, str] | None:
    return (step.state, step.detail) if step else None


def _out_of_time(seconds: float, steps: list[StepState]) -> str:
    open_steps = [step for step in steps if step.state in ("waiting", "starting", "running")]
    where = "".join(f"; {step.step} is {describe(step)}" for step in open_steps)
    return f"after {seconds:g} s the run is not at its end, and goes on{where}"


def _cannot_start(run: Any, pod: Pod) -> ClusterError:
    what = f"the image {pod.image} cannot be pulled" if pod.lacks_image else "its container cannot be made"
    mend = "load the image into the cluster, or push it into its registry" if pod.lacks_image else "mend that"
    return ClusterError(
        f"{pod_label(run, pod)} cannot start, {what}: {pod.reason}; the run would wait for it without end",
        f"{mend}, and wait on: fashion runs wait {run.run_id}; "
        f"or end the run: fashion runs stop {run.run_id}, and submit it with another image: --image IMAGE",
    )


def next_commands(run_id: str) -> str:
    """What to do about a run that nobody waits for any more."""
    return f"wait on: fashion runs wait {run_id}; end it: fashion runs stop {run_id}"
