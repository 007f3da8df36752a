"""The latest runs, with what MLflow or the steps' notes know of their accuracy and verdict."""

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
from pipeline.tracking.settings import settle_mlflow

PAGE = 1000
"""Runs in an answer of MLflow."""
PAGES = 2
"""How many such answers are asked for at most."""
READERS = 8
"""How many runs' notes are read at a time."""
DELETED = "MLflow run deleted"


@dataclass(frozen=True)
class Judged:
    """What is known of a run's model: accuracy, and the verdict or DELETED; None and empty for nothing."""

    accuracy: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class RunRow:
    """A run of the pipeline.

    Args:
        run_id: KFP's id of it.
        name: Its name.
        state: KFP's word for how far it is; `STOPPED` where somebody ended it. Where Argo's workflow has
            ended and KFP does not know it, what Argo says is added.
        started: When it was submitted.
        seconds: How long it took; None while it goes on.
        judged: What is known of its model.
    """

    run_id: str
    name: str
    state: str
    started: datetime
    seconds: float | None
    judged: Judged


def latest(kfp: Kfp, experiment: str, limit: int) -> list[RunRow]:
    """The latest runs of an experiment, the newest first."""
    runs = kfp.latest_runs(experiment, limit)
    over = [run.run_id for run in runs if run.state in ENDED]
    known = from_mlflow(over)
    pods = Pods(kfp.namespace)
    known |= from_statuses(pods, [run_id for run_id in over if run_id not in known])
    open_ = [run.run_id for run in runs if run.state not in ENDED]
    workflows = pods.workflows(open_) if open_ else {}
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
                judged=known.get(run.run_id, Judged()) if ended else Judged(),
            )
        )
    return rows


def from_mlflow(run_ids: Sequence[str]) -> dict[str, Judged]:
    """What MLflow knows, by the id of the pipeline run; nothing where there is no server, or no answer.

    MLflow knows no "one of" for tags: its latest runs are read, until all that are asked for are found, or
    PAGES pages are read. What is older, or never had a run there, is left to the steps' notes.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri or not run_ids:
        return {}
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    settle_mlflow()
    from mlflow import MlflowClient
    from mlflow.entities import Run, ViewType
    from mlflow.exceptions import MlflowException

    from pipeline.tracking.runs import CHOSEN, CLAIMED, PIPELINE_RUN_TAG

    known: dict[str, Judged] = {}

    def take(run: Run) -> None:
        deleted = run.info.lifecycle_stage == "deleted"
        accuracy = None if deleted else run.data.metrics.get("test_accuracy")
        for run_id in run_ids:
            word = run.data.tags.get(PIPELINE_RUN_TAG + run_id)
            better = run_id not in known or (known[run_id].verdict == DELETED and not deleted)
            if word not in (None, CLAIMED, CHOSEN) and better:  # the latest that is there
                known[run_id] = Judged(accuracy, DELETED if deleted else word)

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


def from_statuses(pods: Pods, run_ids: Sequence[str]) -> dict[str, Judged]:
    """What the steps' notes know, by the id of the pipeline run; nothing where they are out of reach."""
    location = state_location(pods) if run_ids else ""
    known: dict[str, Judged] = {}
    if not location:
        return known
    try:
        storage = open_storage(location)

        def lines(run_id: str) -> dict[str, str]:
            names = [f"runs/{run_id}/{step}.json" for step in ("evaluate", "gate")]
            return {step: note.line for step, note in statuses_in(storage, names).items()}

        with ThreadPoolExecutor(READERS) as pool:
            for run_id, said in zip(run_ids, pool.map(lines, run_ids), strict=True):
                accuracy = re.match(r"test accuracy ([\d.]+)", said.get("evaluate", ""))
                verdict = re.match(r"gate: (\w+)", said.get("gate", ""))
                known[run_id] = Judged(
                    float(accuracy[1]) if accuracy else None, verdict[1] if verdict else ""
                )
    except PipelineError:  # nor will it answer for the next
        pass
    return known
