"""The latest runs, with accuracy and verdict from MLflow or from the steps' statuses."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import click

from components.common.errors import PipelineError, redacted
from components.common.storage import open_storage
from pipeline.kubeflow.client.api import ENDED, Kfp
from pipeline.kubeflow.client.pods import Pods, state_location
from pipeline.kubeflow.client.progress import was_stopped
from pipeline.kubeflow.runtime.step_status import statuses_in
from pipeline.tracking.settings import configure_mlflow

PAGE = 1000
"""Runs in a page of MLflow's answer."""
PAGES = 2
"""The most pages that are read."""
READERS = 8
"""How many runs' statuses are read at a time."""
DELETED = "MLflow run deleted"


@dataclass(frozen=True)
class ModelResult:
    """The test accuracy and the gate's verdict (or DELETED) of a run's model, if known."""

    accuracy: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class RunRow:
    """A run of the pipeline.

    Args:
        run_id: Id in KFP.
        name: Name in KFP.
        state: KFP's name of its state; `STOPPED` if it was stopped; with Argo's state if only Argo has ended
            it.
        started: Time of submission.
        seconds: Duration; None while it runs.
        result: Accuracy and verdict.
    """

    run_id: str
    name: str
    state: str
    started: datetime
    seconds: float | None
    result: ModelResult


def latest(kfp: Kfp, experiment: str, limit: int) -> list[RunRow]:
    """The latest runs of an experiment, the newest first."""
    runs = kfp.latest_runs(experiment, limit)
    ended_ids = [run.run_id for run in runs if run.state in ENDED]
    known = from_mlflow(ended_ids)
    pods = Pods(kfp.namespace)
    known |= from_statuses(pods, [run_id for run_id in ended_ids if run_id not in known])
    running_ids = [run.run_id for run in runs if run.state not in ENDED]
    workflows = pods.workflows(running_ids) if running_ids else {}
    rows = []
    for run in runs:
        ended = run.state in ENDED
        workflow = workflows.get(run.run_id)
        state = "STOPPED" if ended and was_stopped(run) else run.state or "PENDING"
        rows.append(
            RunRow(
                run_id=run.run_id,
                name=run.display_name,
                state=f"{state}, Argo: {workflow.end}" if workflow and workflow.end else state,
                started=run.created_at,
                seconds=(run.finished_at - run.created_at).total_seconds() if ended else None,
                result=known.get(run.run_id, ModelResult()) if ended else ModelResult(),
            )
        )
    return rows


def from_mlflow(run_ids: Sequence[str]) -> dict[str, ModelResult]:
    """The results that MLflow has, by the id of the pipeline run; empty without a server or an answer.

    MLflow cannot search for one of several tags: its latest runs are read until all ids are found, or PAGES
    pages are read. Older ones are left to the steps' statuses.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri or not run_ids:
        return {}
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    configure_mlflow()
    from mlflow import MlflowClient
    from mlflow.entities import Run, ViewType
    from mlflow.exceptions import MlflowException

    from pipeline.tracking.runs import CHOSEN, CLAIMED, PIPELINE_RUN_TAG

    known: dict[str, ModelResult] = {}

    def take(run: Run) -> None:
        deleted = run.info.lifecycle_stage == "deleted"
        accuracy = None if deleted else run.data.metrics.get("test_accuracy")
        for run_id in run_ids:
            verdict = run.data.tags.get(PIPELINE_RUN_TAG + run_id)
            better = run_id not in known or (known[run_id].verdict == DELETED and not deleted)
            if verdict not in (None, CLAIMED, CHOSEN) and better:  # the latest that is there
                known[run_id] = ModelResult(accuracy, DELETED if deleted else verdict)

    try:
        client, token = MlflowClient(uri), None
        experiments = client.search_experiments(ViewType.ALL)
        ids = [experiment.experiment_id for experiment in experiments]
        for _ in range(PAGES):
            page = client.search_runs(ids, "", ViewType.ALL, PAGE, page_token=token)
            for run in page:
                take(run)
            token = page.token
            if not token or set(run_ids) <= known.keys():
                break
    except (MlflowException, OSError) as error:
        reason = type(error.__cause__ or error.__context__ or error).__name__
        click.echo(
            f"no accuracies from MLflow at {redacted(uri)} ({reason}): `fashion doctor` says what to do",
            err=True,
        )
    return known


def from_statuses(pods: Pods, run_ids: Sequence[str]) -> dict[str, ModelResult]:
    """The results in the steps' statuses, by the id of the pipeline run; empty if they cannot be read."""
    location = state_location(pods) if run_ids else ""
    known: dict[str, ModelResult] = {}
    if not location:
        return known
    try:
        storage = open_storage(location)

        def lines(run_id: str) -> dict[str, str]:
            names = [f"runs/{run_id}/{step}.json" for step in ("evaluate", "gate")]
            return {step: status.line for step, status in statuses_in(storage, names).items()}

        with ThreadPoolExecutor(READERS) as pool:
            for run_id, results in zip(run_ids, pool.map(lines, run_ids), strict=True):
                accuracy = re.match(r"test accuracy ([\d.]+)", results.get("evaluate", ""))
                verdict = re.match(r"gate: (\w+)", results.get("gate", ""))
                known[run_id] = ModelResult(
                    float(accuracy[1]) if accuracy else None, verdict[1] if verdict else ""
                )
    except PipelineError:  # the next run's statuses cannot be read either
        pass
    return known
