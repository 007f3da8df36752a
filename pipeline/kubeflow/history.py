"""The latest runs, with what MLflow or the steps' notes know of their accuracy and verdict."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import click

from components.common.errors import PipelineError, TrackingError, first_line
from pipeline.kubeflow.client import ENDED, Kfp
from pipeline.kubeflow.notes import read_notes
from pipeline.kubeflow.pods import Pods, state_location
from pipeline.kubeflow.progress import was_stopped
from pipeline.server import check_server


@dataclass(frozen=True)
class Judged:
    """What is known of a run's model; None and an empty text where nothing is."""

    accuracy: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class RunRow:
    """A run of the pipeline.

    Args:
        run_id: KFP's id of it.
        name: Its name.
        state: KFP's word for how far it is; `STOPPED` where somebody ended it.
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
    known |= from_notes(kfp.namespace, [run_id for run_id in over if run_id not in known])
    rows = []
    for run in runs:
        ended = run.state in ENDED
        rows.append(
            RunRow(
                run_id=run.run_id,
                name=run.display_name,
                state="STOPPED" if ended and was_stopped(run) else run.state or "PENDING",
                started=run.created_at,
                seconds=(run.finished_at - run.created_at).total_seconds() if ended else None,
                judged=known.get(run.run_id, Judged()) if ended else Judged(),
            )
        )
    return rows


def from_mlflow(run_ids: Sequence[str]) -> dict[str, Judged]:
    """What MLflow knows, by the id of the pipeline run; nothing where there is no server, or no answer."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri or not run_ids:
        return {}
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    from pipeline.tracking import CHOSEN, CLAIMED, PIPELINE_RUN_TAG

    known: dict[str, Judged] = {}
    try:
        check_server(uri)
        client = MlflowClient(uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        for run_id in run_ids:
            tag = PIPELINE_RUN_TAG + run_id
            # MLflow finds by "other than" only runs that have the tag; it knows no "one of" for tags.
            judged = f"tags.`{tag}` != '{CLAIMED}' AND tags.`{tag}` != '{CHOSEN}'"
            found = client.search_runs(experiments, judged, max_results=1)
            for run in found:
                known[run_id] = Judged(run.data.metrics.get("test_accuracy"), run.data.tags[tag])
    except (TrackingError, MlflowException, OSError) as error:
        click.echo(f"no accuracies from MLflow: {first_line(error)}", err=True)
    return known


def from_notes(namespace: str, run_ids: Sequence[str]) -> dict[str, Judged]:
    """What the steps' notes know, by the id of the pipeline run; nothing where they are out of reach."""
    location = state_location(Pods(namespace)) if run_ids else ""
    known: dict[str, Judged] = {}
    for run_id in run_ids if location else ():
        try:
            lines = {step: note.line for step, note in read_notes(location, run_id).items()}
        except PipelineError:  # nor will it answer for the next
            break
        accuracy = re.match(r"test accuracy ([\d.]+)", lines.get("evaluate", ""))
        verdict = re.match(r"gate: (\w+)", lines.get("gate", ""))
        known[run_id] = Judged(float(accuracy[1]) if accuracy else None, verdict[1] if verdict else "")
    return known
