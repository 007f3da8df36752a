"""Waiting for a run: each step's state as it changes, and in the end what came of it, and why it failed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.common.errors import ClusterError, PipelineError
from pipeline.kubeflow.client import ENDED, Kfp
from pipeline.kubeflow.connection import UnreachableError
from pipeline.kubeflow.notes import Note, read_notes
from pipeline.kubeflow.pods import Pod, Pods, state_location
from pipeline.kubeflow.progress import StepState, describe, progress, steps_of, was_stopped

POLL_SECONDS = 3.0
PATIENCE = 40
"""Polls in a row without an answer after which waiting is given up."""
KILLED = "it was killed: out of memory, its time limit, or a lost node"
REMEDIES = {
    "OOMKilled": "it had too little memory: --memory",
    "DeadlineExceeded": "it took too long: --time-limit",
    "Evicted": "its node ran out of something; try again",
}


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
) -> Ended:
    """Waits until a run has ended.

    Args:
        kfp: The server.
        run_id: The run.
        on_change: Is told of each step that is in another state than before.
        timeout: Seconds after which to give up. None: never.
        poll_seconds: How long to wait between two looks.
        patience: Looks in a row that may fail because the server does not answer.

    Raises:
        ClusterError: Time is up, the server is gone, or there is no such run.
    """
    pods = Pods(kfp.namespace)
    before: dict[str, StepState] = {}
    since = time.monotonic()
    silent = 0
    while True:
        try:
            run = kfp.run(run_id)
            silent = 0
        except UnreachableError as error:
            silent += 1
            if silent > patience:
                raise UnreachableError(f"{error}; the run goes on", next_commands(run_id)) from None
        else:
            seen = pods.of_run(run_id)
            steps = progress(run, seen)
            for step in steps:
                if _told(before.get(step.path)) != _told(step):
                    on_change(step)
                before[step.path] = step
            if run.state in ENDED:
                return _ended(kfp, run, steps, pods, seen)
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
        failure = _failure(kfp, run, steps, notes, pods, seen)
    return Ended(
        run_id=run.run_id,
        state="STOPPED" if stopped else run.state,
        seconds=(run.finished_at - run.created_at).total_seconds(),
        steps=steps,
        not_run=[step.label for step in steps_of(run) if step.path not in begun],
        results={step: note.line for step, note in notes.items() if note.line},
        failure=failure,
    )


def _notes(run_id: str, pods: Pods) -> dict[str, Note]:
    location = state_location(pods)
    try:
        return read_notes(location, run_id) if location else {}
    except PipelineError:  # they are a help, no condition
        return {}


def _failure(
    kfp: Kfp, run: Any, steps: list[StepState], notes: dict[str, Note], pods: Pods, seen: Sequence[Pod]
) -> Failure:
    """The step that failed, and why: from its note, its pod's last words, from Argo, or from its log."""
    failed = next((step for step in steps if step.state == "failed"), None)
    name, path = (failed.step, failed.path) if failed else (_failed_driver(run), "root")
    note = notes.get(name)
    if note and note.state == "failed":
        return Failure(name, note.error, note.hint)
    mine = [pod for pod in seen if pod.path.startswith(f"{path}.executor")]
    reasons = [mine[-1].reason] if mine else []
    reasons += [text for place, text in sorted(pods.faults(run.run_id).items()) if place.startswith(path)]
    for text in (*reasons, pods.log(mine[-1]) if mine else ""):
        said = re.findall(r"^error: (.*(?:\n  .*)*)(?:\nwhat to do: (.*))?", text, re.MULTILINE)
        if said:
            return Failure(name, *said[-1])
    reason = next(filter(None, reasons), KILLED if note else "")
    if not reason:
        return Failure(name, "KFP does not tell why", f"look at {kfp.url(run.run_id)}")
    return Failure(name, reason, REMEDIES.get(reason.partition(":")[0], ""))


def _failed_driver(run: Any) -> str:
    """The step that failed before it began, or an empty text."""
    tasks = (run.run_details and run.run_details.task_details) or ()
    names = [str(task.display_name) for task in tasks if task.display_name and task.state == "FAILED"]
    drivers = (name.removesuffix("-driver") for name in names if name.endswith("-driver"))
    return next((name for name in drivers if name != "root"), "")


def _told(step: StepState | None) -> tuple[str, str] | None:
    return (step.state, step.detail) if step else None


def _out_of_time(seconds: float, steps: list[StepState]) -> str:
    open_steps = [step for step in steps if step.state in ("waiting", "starting", "running")]
    where = "".join(f"; {step.step} is {describe(step)}" for step in open_steps)
    return f"after {seconds:g} s the run is not at its end, and goes on{where}"


def next_commands(run_id: str) -> str:
    """What to do about a run that nobody waits for any more."""
    return f"wait on: fashion runs wait {run_id}; end it: fashion runs stop {run_id}"
