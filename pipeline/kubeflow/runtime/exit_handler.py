"""The end of a pipeline run, whatever came of it: one summary, and the MLflow run's status."""

from __future__ import annotations

import os
from pathlib import Path

from mlflow.entities import Run
from tabulate import tabulate

from components.common.errors import PipelineError, first_line
from pipeline.kubeflow.runtime.entrypoint import check_tracking_server
from pipeline.kubeflow.runtime.environment import STATE_URL
from pipeline.kubeflow.runtime.step_status import KILLED, StepStatus, read_statuses
from pipeline.tracking.runs import CHOSEN, CLAIMED, MADE_BY_TAG, PIPELINE_RUN_TAG, Tracker, refusals
from pipeline.tracking.store import RUN_ID

WORDS = {"done": "done", "failed": "**failed**", "running": "**killed**"}


def finish(state: str, experiment: str, out: Path) -> None:
    """Writes the summary of a pipeline run, and closes its MLflow run.

    What cannot be asked any more is left out: the end of a run must not fail because of what failed it.

    Args:
        state: How KFP says that the pipeline ended: `FAILED`, or else it succeeded.
        experiment: The MLflow experiment.
        out: The Markdown file that receives the summary.
    """
    failed = state == "FAILED"
    notes: dict[str, StepStatus] = {}
    run, faults = None, []
    try:
        notes = read_statuses(os.environ[STATE_URL], os.environ[RUN_ID])
    except (PipelineError, KeyError) as error:
        faults.append(f"the steps' notes cannot be read: {first_line(error)}")
    try:
        check_tracking_server()
        run = _close(experiment, failed, "train" in notes)
    except PipelineError as error:
        faults.append(first_line(error))
    text = summary(failed, notes, run, os.environ.get(RUN_ID, ""))
    text += "".join(f"\n{fault}\n" for fault in faults)
    out.write_text(text, encoding="utf-8")
    print(text)


def summary(failed: bool, notes: dict[str, StepStatus], run: Run | None, pipeline_run: str) -> str:
    """The summary as Markdown: what failed and why, the figures, and each step.

    Args:
        failed: Whether the pipeline failed.
        notes: What the steps left.
        run: The MLflow run, if there is one.
        pipeline_run: The id of the pipeline run, under which the run has its verdict.
    """
    lines = [headline(failed, notes)]
    if run:
        metrics, tags = run.data.metrics, run.data.tags
        rows = [("MLflow run", f"{run.info.run_name} ({run.info.run_id}), {run.info.status}")]
        verdict = tags.get(PIPELINE_RUN_TAG + pipeline_run)
        if verdict not in (CLAIMED, CHOSEN):  # else the figures are of an earlier pipeline run
            rows += [("test accuracy", f"{metrics['test_accuracy']:.2%}"), ("gate", verdict)]
        rows += [(tag, tags[tag]) for tag in ("weights_digest", "data_version") if tag in tags]
        lines.append(tabulate(rows, ("", ""), "github", disable_numparse=True))
    steps = [
        (note.step, WORDS[note.state], f"{note.seconds:.0f} s", reason(note).replace("\n", "<br>"))
        for note in notes.values()
    ]
    lines.append(tabulate(steps, ("step", "", "", ""), "github", disable_numparse=True))
    if not failed:
        lines.append("Steps that are not in the list came from the cache or were skipped.")
    return "\n\n".join(lines) + "\n"


def headline(failed: bool, notes: dict[str, StepStatus]) -> str:
    """What came of the run in a line: the step that failed and why, the rejection, or the version."""
    culprit = next((note for note in notes.values() if note.state != "done"), None)
    if failed and culprit:
        return f"**failed** in {culprit.step}: {reason(culprit)}"
    if failed:
        return "**failed**: no step left a reason; one was perhaps never started, or its image not found"
    verdict = notes["gate"].line.removeprefix("gate: ") if "gate" in notes else ""
    if verdict.startswith("rejected"):
        return f"**rejected**{verdict.removeprefix('rejected')}"
    return f"**succeeded**: {notes['register'].line}" if "register" in notes else "**succeeded**"


def reason(note: StepStatus) -> str:
    """A step's result, or what was wrong and what to do."""
    if note.state == "failed":
        return f"{note.error}; what to do: {note.hint}" if note.hint else note.error
    return note.line or (KILLED if note.state == "running" else "")


def _close(experiment: str, failed: bool, alone: bool) -> Run | None:
    """Marks the MLflow run of a failed pipeline run as failed; returns the run that the summary is about.

    A run that was finished before this pipeline run stays what it is, and so do a sweep's other trainings.

    Args:
        experiment: The MLflow experiment.
        failed: Whether the pipeline failed.
        alone: Whether its training is no candidate of a sweep.
    """
    pipeline_run = os.environ[RUN_ID]
    tracker = Tracker(Path.cwd(), experiment)
    with refusals():
        runs = tracker.claimed(pipeline_run)
        ours = [run for run in runs if run.data.tags.get(MADE_BY_TAG) == pipeline_run]
        chosen = [run for run in runs if run.data.tags[PIPELINE_RUN_TAG + pipeline_run] != CLAIMED]
        about = next(iter(chosen or (ours if alone else [])), None)
        for run in runs if failed else ():
            if run.info.status == "RUNNING" or (run is about and run in ours):
                tracker.client.set_terminated(run.info.run_id, "FAILED")
        return tracker.client.get_run(about.info.run_id) if about else None
