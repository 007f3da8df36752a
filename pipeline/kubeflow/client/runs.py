"""The latest runs, with accuracy and verdict of their models from MLflow or from the step statuses."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from components.common.errors import PipelineError, redacted
from components.common.storage import Storage, open_storage
from pipeline.kubeflow.client.api import FINAL_STATES, Kfp
from pipeline.kubeflow.client.pods import Pods, state_storage_url
from pipeline.kubeflow.client.progress import was_stopped
from pipeline.kubeflow.runtime.step_status import statuses_in
from pipeline.tracking.settings import configure_mlflow

if TYPE_CHECKING:
    from mlflow.entities import Run

PAGE_SIZE, MAX_PAGES = 1000, 2
"""How many runs a request to MLflow returns, and how many requests are made."""
READER_THREADS = 8
DELETED = "MLflow run deleted"


@dataclass(frozen=True)
class RunResult:
    """Test accuracy of a run's model, and the gate's verdict or DELETED; None and empty where unknown."""

    accuracy: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class RunSummary:
    """A run of the pipeline.

    Args:
        run_id: KFP's id.
        name: Its name.
        state: KFP's state, or `STOPPED` where somebody terminated it; with Argo's final state where Argo has
            ended the workflow and KFP shows it as running.
        started: When it was submitted.
        seconds: Duration; None until it has ended.
        result: What is known of its model.
    """

    run_id: str
    name: str
    state: str
    started: datetime
    seconds: float | None
    result: RunResult


def latest(kfp: Kfp, experiment: str, limit: int) -> list[RunSummary]:
    """The latest runs of an experiment, newest first."""
    runs = kfp.latest_runs(experiment, limit)
    ended = [run.run_id for run in runs if run.state in FINAL_STATES]
    running = [run.run_id for run in runs if run.state not in FINAL_STATES]
    pods = Pods(kfp.namespace)
    results = from_mlflow(ended)
    results |= from_statuses(pods, [run_id for run_id in ended if run_id not in results])
    workflows = pods.workflows(running) if running else {}
    summaries = []
    for run in runs:
        has_ended = run.run_id in ended
        state = "STOPPED" if has_ended and was_stopped(run) else run.state or "PENDING"
        workflow = workflows.get(run.run_id)
        summaries.append(
            RunSummary(
                run_id=run.run_id,
                name=run.display_name,
                state=f"{state}, Argo: {workflow.final_state}"
                if workflow and workflow.final_state
                else state,
                started=run.created_at,
                seconds=(run.finished_at - run.created_at).total_seconds() if has_ended else None,
                result=results.get(run.run_id, RunResult()),
            )
        )
    return summaries


def from_mlflow(run_ids: Sequence[str]) -> dict[str, RunResult]:
    """Results in MLflow, by id of the pipeline run; empty without a server or without an answer.

    MLflow cannot search for one of several tags. So its latest runs are read, until all pipeline runs are
    found or MAX_PAGES pages are read. The results of others are left to the step statuses.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri or not run_ids:
        return {}
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    configure_mlflow()
    from mlflow import MlflowClient
    from mlflow.entities import ViewType
    from mlflow.exceptions import MlflowException

    results: dict[str, RunResult] = {}
    try:
        client, token = MlflowClient(uri), None
        experiments = [experiment.experiment_id for experiment in client.search_experiments(ViewType.ALL)]
        for _ in range(MAX_PAGES):
            page = client.search_runs(experiments, "", ViewType.ALL, PAGE_SIZE, page_token=token)
            for run in page:
                _add_results(results, run, run_ids)
            token = page.token
            if not token or set(run_ids) <= results.keys():
                break
    except (MlflowException, OSError) as error:
        reason = type(error.__cause__ or error.__context__ or error).__name__
        click.echo(
            f"no accuracies from MLflow at {redacted(uri)} ({reason}): `fashion doctor` says what to do",
            err=True,
        )
    return results


def _add_results(results: dict[str, RunResult], run: Run, run_ids: Sequence[str]) -> None:
    """Adds the result of an MLflow run to each pipeline run that has worked on it.

    Runs come newest first, and the newest that is not deleted counts.
    """
    from pipeline.tracking.runs import CHOSEN, CLAIMED, PIPELINE_RUN_TAG

    deleted = run.info.lifecycle_stage == "deleted"
    accuracy = None if deleted else run.data.metrics.get("test_accuracy")
    for run_id in run_ids:
        verdict = run.data.tags.get(PIPELINE_RUN_TAG + run_id)
        missing = run_id not in results or (results[run_id].verdict == DELETED and not deleted)
        if missing and verdict not in (None, CLAIMED, CHOSEN):
            results[run_id] = RunResult(accuracy, DELETED if deleted else verdict)


def from_statuses(pods: Pods, run_ids: Sequence[str]) -> dict[str, RunResult]:
    """Results in the step statuses, by id of the pipeline run; empty where these cannot be read."""
    results: dict[str, RunResult] = {}
    url = state_storage_url(pods) if run_ids else ""
    if not url:
        return results
    with suppress(PipelineError), ThreadPoolExecutor(READER_THREADS) as pool:
        read = partial(_read_result, open_storage(url))
        results.update(zip(run_ids, pool.map(read, run_ids), strict=True))
    return results


def _read_result(storage: Storage, run_id: str) -> RunResult:
    statuses = statuses_in(storage, [f"runs/{run_id}/{step}.json" for step in ("evaluate", "gate")])
    lines = {step: status.line for step, status in statuses.items()}
    accuracy = re.match(r"test accuracy ([\d.]+)", lines.get("evaluate", ""))
    verdict = re.match(r"gate: (\w+)", lines.get("gate", ""))
    return RunResult(float(accuracy[1]) if accuracy else None, verdict[1] if verdict else "")
