"""The exit handler of a pipeline run: the summary, and the status of the MLflow run, whatever the outcome."""

from __future__ import annotations

import os
from pathlib import Path

from mlflow.entities import Run
from tabulate import tabulate

from components.common.errors import PipelineError, first_line
from pipeline.kubeflow.runtime.entrypoint import check_tracking_server
from pipeline.kubeflow.runtime.environment import STATE_URL
from pipeline.kubeflow.runtime.step_status import KILLED, StepStatus, read_statuses
from pipeline.tracking.experiment import refusals
from pipeline.tracking.runs import CHOSEN, CLAIMED, MADE_BY_TAG, PIPELINE_RUN_TAG, Tracker
from pipeline.tracking.store import RUN_ID

WORDS = {"done": "done", "failed": "**failed**", "running": "**killed**"}


def close_run(state: str, experiment: str, out: Path) -> None:
    """Writes the summary of a pipeline run, and closes its MLflow run.

    It does not fail when MLflow or the storage cannot be reached: the summary says so instead.

    Args:
        state: `FAILED`, or else the pipeline run succeeded, as KFP gives it to an exit handler.
        experiment: The MLflow experiment.
        out: The Markdown file that receives the summary.
    """
    failed = state == "FAILED"
    statuses: dict[str, StepStatus] = {}
    run, faults = None, []
    try:
        statuses = read_statuses(os.environ[STATE_URL], os.environ[RUN_ID])
    except (PipelineError, KeyError) as error:
        faults.append(f"the steps' statuses cannot be read: {first_line(error)}")
    try:
        check_tracking_server()
        run = _close_mlflow_run(experiment, failed, "train" in statuses)
    except PipelineError as error:
        faults.append(first_line(error))
    text = summary(failed, statuses, run, os.environ.get(RUN_ID, ""))
    text += "".join(f"\n{fault}\n" for fault in faults)
    out.write_text(text, encoding="utf-8")
    print(text)


def summary(failed: bool, statuses: dict[str, StepStatus], run: Run | None, pipeline_run: str) -> str:
    """The summary as Markdown: the outcome with its reason, the MLflow run, and each step.

    Args:
        failed: Whether the pipeline run failed.
        statuses: The status of each step.
        run: The MLflow run, if there is one.
        pipeline_run: Id of the pipeline run: the MLflow run has the verdict in a tag with this id.
    """
    lines = [headline(failed, statuses)]
    if run:
        metrics, tags = run.data.metrics, run.data.tags
        rows = [("MLflow run", f"{run.info.run_name} ({run.info.run_id}), {run.info.status}")]
        verdict = tags.get(PIPELINE_RUN_TAG + pipeline_run)
        if verdict not in (CLAIMED, CHOSEN):  # else the metrics are of an earlier pipeline run
            rows += [("test accuracy", f"{metrics['test_accuracy']:.2%}"), ("gate", verdict)]
        rows += [(tag, tags[tag]) for tag in ("weights_digest", "data_version") if tag in tags]
        lines.append(tabulate(rows, ("", ""), "github", disable_numparse=True))
    steps = [
        (status.step, WORDS[status.state], f"{status.seconds:.0f} s", result_of(status).replace("\n", "<br>"))
        for status in statuses.values()
    ]
    lines.append(tabulate(steps, ("step", "", "", ""), "github", disable_numparse=True))
    if not failed:
        lines.append("Steps that are not in the list came from the cache or were skipped.")
    return "\n\n".join(lines) + "\n"


def headline(failed: bool, statuses: dict[str, StepStatus]) -> str:
    """The outcome in one line: the failed step and its reason, the gate's rejection, or the version."""
    unfinished = next((status for status in statuses.values() if status.state != "done"), None)
    if failed and unfinished:
        return f"**failed** in {unfinished.step}: {result_of(unfinished)}"
    if failed:
        return "**failed**: no step left a reason; one was perhaps never started, or its image not found"
    verdict = statuses["gate"].line.removeprefix("gate: ") if "gate" in statuses else ""
    if verdict.startswith("rejected"):
        return f"**rejected**{verdict.removeprefix('rejected')}"
    return f"**succeeded**: {statuses['register'].line}" if "register" in statuses else "**succeeded**"


def result_of(status: StepStatus) -> str:
    """A step's result, or what was wrong and what to do."""
    if status.state == "failed":
        return f"{status.error}; what to do: {status.hint}" if status.hint else status.error
    return status.line or (KILLED if status.state == "running" else "")


def _close_mlflow_run(experiment: str, failed: bool, single_training: bool) -> Run | None:
    """Marks the MLflow run of a failed pipeline run as failed; returns the run that the summary is about.

    Runs finished before this pipeline run stay as they are, and so do the other trainings of a sweep.

    Args:
        experiment: The MLflow experiment.
        failed: Whether the pipeline run failed.
        single_training: Whether the pipeline run is no sweep.
    """
    pipeline_run = os.environ[RUN_ID]
    tracker = Tracker(Path.cwd(), experiment)
    with refusals():
        runs = tracker.claimed(pipeline_run)
        finished_here = [run for run in runs if run.data.tags.get(MADE_BY_TAG) == pipeline_run]
        chosen = [run for run in runs if run.data.tags[PIPELINE_RUN_TAG + pipeline_run] != CLAIMED]
        reported = next(iter(chosen or (finished_here if single_training else [])), None)
        for run in runs if failed else ():
            if run.info.status == "RUNNING" or (run is reported and run in finished_here):
                tracker.client.set_terminated(run.info.run_id, "FAILED")
        return tracker.client.get_run(reported.info.run_id) if reported else None
