"""Runs the pipeline in KFP's local runner: no cluster, the same components, the same files."""

from __future__ import annotations

import logging
import os
import sys
import uuid
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from components.common.files import content_key
from pipeline.git import CODE_ROOT
from pipeline.kubeflow.definition.arguments import pipeline_arguments
from pipeline.kubeflow.definition.compiler import PipelineName, make_pipeline
from pipeline.kubeflow.definition.resources import Cluster
from pipeline.kubeflow.local.console import Console, Tasks
from pipeline.kubeflow.runtime.environment import LOCAL, STATE_URL
from pipeline.kubeflow.runtime.exit_handler import headline, result_of
from pipeline.kubeflow.runtime.step_status import StepStatus, read_statuses
from pipeline.tracking.store import RUN_ID, tracking_uri

STEPS = ("parameters", "ingest", "plan", "validate", "train", "select", "evaluate", "gate", "register")
SWEEP_STEPS = {"plan", "select"}
LOG = "kfp.log"
"""The file that receives all output of KFP."""
NO_REASON = f"it left no reason; see outputs/kubeflow/{LOG}"


@dataclass(frozen=True)
class Step:
    """The result of a step. Its state is `ran`, `from cache`, `skipped`, `failed` or `not run`."""

    name: str
    state: str
    seconds: float = 0.0
    line: str = ""


@dataclass(frozen=True)
class LocalRun:
    """The result of a pipeline run."""

    steps: list[Step]
    succeeded: bool
    headline: str


def run_local(
    root: Path, assignments: Sequence[str] = (), candidates: Sequence[str] = (), cached: bool = True
) -> LocalRun:
    """Runs the pipeline on this machine. A step that fails is no exception, but in the result.

    Args:
        root: The project. Its data must be in DVC's cache, which serves as the remote.
        assignments: `NAME=VALUE`; NAME is a pipeline argument or a parameter.
        candidates: Those of a sweep; without, the train pipeline runs.
        cached: Whether steps whose inputs did not change are taken from the cache.

    Raises:
        PipelineError: A parameter is wrong, or MLflow's store cannot be opened.
    """
    from pipeline.params import load
    from pipeline.tracking.runs import Tracker

    name: PipelineName = "sweep" if candidates else "train"
    if not any(assignment.startswith("remote=") for assignment in assignments):
        assignments = [*assignments, f"remote={_dvc_cache(root)}"]
    arguments = pipeline_arguments(root, load(root / "params.yaml"), assignments, candidates)
    Tracker(root, arguments["experiment"])  # creates the store before steps run side by side
    folder, run_id = root / "outputs" / "kubeflow", uuid.uuid4().hex
    python_path = [str(CODE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {
        "MLFLOW_TRACKING_URI": tracking_uri(root),
        STATE_URL: str(folder / "state"),
        RUN_ID: run_id,
        LOCAL: "1",
        "PYTHONPATH": os.pathsep.join(python_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    succeeded, tasks = _execute(name, arguments, folder, cached)
    statuses = read_statuses(str(folder / "state"), run_id)
    steps = step_results(name, statuses, tasks)
    return LocalRun(steps, succeeded, outcome(succeeded, statuses, steps))


def _execute(
    name: PipelineName, arguments: dict[str, object], folder: Path, cached: bool
) -> tuple[bool, Tasks]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the local runner warns that it ignores GPUs and limits
        from kfp import local

        pipeline = make_pipeline(name, Cluster(f"local-{_packages_digest()}", gpus=0, retries=0))
        local.init(
            local.SubprocessRunner(use_venv=False), str(folder), raise_on_error=True, enable_caching=cached
        )
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("w", encoding="utf-8") as log:
            console: Any = Console(sys.stdout, log)
            logging.basicConfig(level=logging.INFO, stream=console, force=True)
            logging.getLogger().addFilter(console.filter_record)
            with redirect_stdout(console), redirect_stderr(console):
                try:
                    pipeline(**arguments)
                except RuntimeError as error:  # KFP raises it when a step failed
                    log.write(f"{error}\n")
                    return False, console.tasks
                finally:
                    logging.getLogger().removeFilter(console.filter_record)
                    logging.basicConfig(level=logging.WARNING, stream=sys.__stderr__, force=True)
    return True, console.tasks


def step_results(name: PipelineName, statuses: dict[str, StepStatus], tasks: Tasks) -> list[Step]:
    """The result of each step, from the statuses that the steps wrote and the tasks that KFP logged."""
    states = {"done": "ran", "failed": "failed", "running": "failed"}
    results: list[Step] = []
    for step in (*STEPS, "finish"):
        cached, started, succeeded = (
            names.count(step) for names in (tasks.cached, tasks.started, tasks.succeeded)
        )
        of_step = [status for status in statuses.values() if status.step.split()[0] == step]
        rows = [Step(s.step, states[s.state], s.seconds, result_of(s)) for s in of_step]
        if started - succeeded > sum(status.state != "done" for status in of_step):
            rows.append(Step(step, "failed", line=NO_REASON))
        elif succeeded and not of_step:  # the storage did not take its status
            rows.append(Step(step, "ran"))
        if cached:
            count = cached + started
            rows.append(Step(step, "from cache", line=f"{cached} of {count}" if count > 1 else ""))
        if step == "finish":  # shown only if it failed
            rows = [row for row in rows if row.state == "failed"]
        elif not rows and not (step in SWEEP_STEPS and name == "train"):
            failed = any(row.state == "failed" for row in results)
            rows = [Step(step, "skipped" if step == "register" and not failed else "not run")]
        results += rows
    return results


def outcome(succeeded: bool, statuses: dict[str, StepStatus], steps: list[Step]) -> str:
    """The result of the run in a line."""
    without_reason = next((step.name for step in steps if step.line == NO_REASON), None)
    if not succeeded and without_reason and all(status.state == "done" for status in statuses.values()):
        return f"failed in {without_reason}: {NO_REASON}"
    return headline(not succeeded, statuses).replace("**", "")


def _dvc_cache(root: Path) -> Path:
    """DVC's cache, which has the layout of a remote."""
    from dvc.repo import Repo

    return Path(Repo(str(root)).cache.local.path).parents[1]


def _packages_digest() -> str:
    """A digest of the installed packages, in the place of an image's tag."""
    return content_key(sorted(f"{each.name}=={each.version}" for each in distributions()))[:12]
