"""The exit handler of a pipeline run: writes the summary, and sets the status of the MLflow run."""

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

STATE_LABELS = {"done": "done", "failed": "**failed**", "running": "**killed**"}


def close_run(state: str, experiment: str, out: Path) -> None:
    """Writes the summary of a pipeline run, and ends its MLflow run.

    A server or storage that does not answer is named in the summary; it is not an error here.

    Args:
        state: KFP's state of the pipeline: `FAILED`, or else it succeeded.
        experiment: The MLflow experiment.
        out: The Markdown file that receives the summary.
    """
    failed = state == "FAILED"
    statuses: dict[str, StepStatus] = {}
    run, faults = None, []
    try:
        statuses = read_statuses(os.environ[STATE_URL], os.environ[RUN_ID])
    except (PipelineError, KeyError) as error:
        faults.append(f"the status of the steps cannot be read: {first_line(error)}")
    try:
        check_tracking_server()
        run = _end_mlflow_run(experiment, failed, is_sweep="train" not in statuses)
    except PipelineError as error:
        faults.append(first_line(error))
    text = _summary(failed, statuses, run)
    text += "".join(f"\n{fault}\n" for fault in faults)
    out.write_text(text, encoding="utf-8")
    print(text)


def _summary(failed: bool, statuses: dict[str, StepStatus], run: Run | None) -> str:
    """The summary as Markdown: the headline, the MLflow run if there is one, and each step."""
    parts = [headline(failed, statuses)]
    if run:
        metrics, tags = run.data.metrics, run.data.tags
        rows = [("MLflow run", f"{run.info.run_name} ({run.info.run_id}), {run.info.status}")]
        verdict = tags.get(PIPELINE_RUN_TAG + os.environ[RUN_ID])
        if verdict not in (CLAIMED, CHOSEN):  # else the metrics are of an earlier pipeline run
            rows += [("test accuracy", f"{metrics['test_accuracy']:.2%}"), ("gate", verdict)]
        rows += [(tag, tags[tag]) for tag in ("weights_digest", "data_version") if tag in tags]
        parts.append(tabulate(rows, ("", ""), "github", disable_numparse=True))
    steps = [
        (s.step, STATE_LABELS[s.state], f"{s.seconds:.0f} s", result_of(s).replace("\n", "<br>"))
        for s in statuses.values()
    ]
    parts.append(tabulate(steps, ("step", "", "", ""), "github", disable_numparse=True))
    if not failed:
        parts.append("Steps that are not in the list came from the cache or were skipped.")
    return "\n\n".join(parts) + "\n"


def headline(failed: bool, statuses: dict[str, StepStatus]) -> str:
    """The result of the pipeline run in a line: the failed step and why, the rejection, or the version."""
    failed_step = next((status for status in statuses.values() if status.state != "done"), None)
    if failed and failed_step:
        return f"**failed** in {failed_step.step}: {result_of(failed_step)}"
    if failed:
        return "**failed**: no step left a reason; perhaps one never started, or its image was not found"
    verdict = statuses["gate"].line.removeprefix("gate: ") if "gate" in statuses else ""
    if verdict.startswith("rejected"):
        return f"**rejected**{verdict.removeprefix('rejected')}"
    return f"**succeeded**: {statuses['register'].line}" if "register" in statuses else "**succeeded**"


def result_of(status: StepStatus) -> str:
    """A step's result, or what was wrong and what to do."""
    if status.state == "failed":
        return f"{status.error}; what to do: {status.hint}" if status.hint else status.error
    return status.line or (KILLED if status.state == "running" else "")


def _end_mlflow_run(experiment: str, failed: bool, is_sweep: bool) -> Run | None:
    """Sets the MLflow run of a failed pipeline run to FAILED; returns the run that the summary is about.

    A run that was finished before this pipeline run keeps its status, as do a sweep's other trainings.
    """
    pipeline_run = os.environ[RUN_ID]
    tracker = Tracker(Path.cwd(), experiment)
    with refusals():
        runs = tracker.claimed(pipeline_run)
        made_here = [run for run in runs if run.data.tags.get(MADE_BY_TAG) == pipeline_run]
        chosen = [run for run in runs if run.data.tags[PIPELINE_RUN_TAG + pipeline_run] != CLAIMED]
        main_run = next(iter(chosen or ([] if is_sweep else made_here)), None)
        for run in runs if failed else ():
            if run.info.status == "RUNNING" or (run is main_run and run in made_here):
                tracker.client.set_terminated(run.info.run_id, "FAILED")
        return tracker.client.get_run(main_run.info.run_id) if main_run else None
