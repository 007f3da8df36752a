"""The pipeline in KFP's own local runner: no cluster, the same components, the same files."""

from __future__ import annotations

import logging
import os
import sys
import uuid
import warnings
from collections import Counter
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
from pipeline.kubeflow.runtime.environment import LOCAL
from pipeline.kubeflow.runtime.exit_handler import headline, result_of
from pipeline.kubeflow.runtime.step_status import StepStatus, read_statuses
from pipeline.tracking.store import tracking_uri

ORDER = ("parameters", "ingest", "plan", "validate", "train", "select", "evaluate", "gate", "register")
SWEEP_ONLY = {"plan", "select"}
LOG = "kfp.log"
"""Receives all output of KFP."""
NO_REASON = f"it left no reason; see outputs/kubeflow/{LOG}"


@dataclass(frozen=True)
class Step:
    """The result of a step; `state` is `ran`, `from cache`, `skipped`, `failed` or `not run`."""

    name: str
    state: str
    seconds: float = 0.0
    line: str = ""


@dataclass(frozen=True)
class LocalRun:
    """A pipeline run."""

    steps: list[Step]
    succeeded: bool
    headline: str


def run_local(
    root: Path, assignments: Sequence[str] = (), candidates: Sequence[str] = (), cached: bool = True
) -> LocalRun:
    """Runs the pipeline on this machine.

    Args:
        root: The project. Its data must be in DVC's cache, which serves as the remote.
        assignments: `NAME=VALUE` for an argument or a parameter.
        candidates: Makes it the sweep over these.
        cached: Whether steps with unchanged inputs are taken from the cache.

    Raises:
        PipelineError: A parameter is wrong, or MLflow's store cannot be opened. A failed step is part of
            the result.
    """
    from pipeline.params import load
    from pipeline.tracking.runs import Tracker

    name: PipelineName = "sweep" if candidates else "train"
    if not any(a.startswith("remote=") for a in assignments):
        assignments = [*assignments, f"remote={_cache(root)}"]
    arguments = pipeline_arguments(root, load(root / "params.yaml"), assignments, candidates)
    Tracker(root, arguments["experiment"])  # the store is made once, before steps run side by side
    folder, run_id = root / "outputs" / "kubeflow", uuid.uuid4().hex
    path = [str(CODE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {
        "MLFLOW_TRACKING_URI": tracking_uri(root),
        "FASHION_STATE_URL": str(folder / "state"),
        "FASHION_RUN_ID": run_id,
        LOCAL: "1",
        "PYTHONPATH": os.pathsep.join(path),
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
        warnings.simplefilter("ignore")  # that a GPU and limits mean nothing here
        from kfp import local

        pipeline = make_pipeline(name, Cluster(f"local-{_packages()}", gpus=0, retries=0))
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
                except RuntimeError as error:  # what KFP raises when a step failed
                    log.write(f"{error}\n")
                    return False, console.tasks
                finally:
                    logging.getLogger().removeFilter(console.filter_record)
                    logging.basicConfig(level=logging.WARNING, stream=sys.__stderr__, force=True)
    return True, console.tasks


def step_results(name: PipelineName, statuses: dict[str, StepStatus], tasks: Tasks) -> list[Step]:
    """The result of each step, from the statuses that the steps stored and from KFP's tasks.

    A step that started and stored no status has failed, unless KFP says that it succeeded.
    """
    words = {"done": "ran", "failed": "failed", "running": "failed"}
    cached, started, succeeded = Counter(tasks.cached), Counter(tasks.started), Counter(tasks.succeeded)
    steps: list[Step] = []
    for step in (*ORDER, "finish"):
        stored = [status for status in statuses.values() if status.step.split()[0] == step]
        rows = [Step(each.step, words[each.state], each.seconds, result_of(each)) for each in stored]
        unexplained = started[step] - succeeded[step] - sum(status.state != "done" for status in stored)
        if unexplained > 0:
            rows.append(Step(step, "failed", line=NO_REASON))
        elif succeeded[step] and not stored:
            rows.append(Step(step, "ran"))
        if cached[step]:
            count = cached[step] + started[step]
            rows.append(Step(step, "from cache", line=f"{cached[step]} of {count}" if count > 1 else ""))
        if step == "finish":  # shown only if it failed
            rows = [row for row in rows if row.state == "failed"]
        elif not rows and not (step in SWEEP_ONLY and name == "train"):
            failed = any(row.state == "failed" for row in steps)
            rows = [Step(step, "skipped" if step == "register" and not failed else "not run")]
        steps += rows
    return steps


def outcome(succeeded: bool, statuses: dict[str, StepStatus], steps: list[Step]) -> str:
    """The outcome of the run in one line.

    Args:
        succeeded: Whether KFP says so.
        statuses: The statuses that the steps stored.
        steps: The results of the steps.
    """
    unexplained = next((step.name for step in steps if step.line == NO_REASON), None)
    if not succeeded and unexplained and all(status.state == "done" for status in statuses.values()):
        return f"failed in {unexplained}: {NO_REASON}"
    return headline(not succeeded, statuses).replace("**", "")


def _cache(root: Path) -> Path:
    """DVC's cache, which has the layout of a remote."""
    from dvc.repo import Repo

    return Path(Repo(str(root)).cache.local.path).parents[1]


def _packages() -> str:
    """A digest of the installed packages, which an image's name identifies on a cluster."""
    return content_key(sorted(f"{each.name}=={each.version}" for each in distributions()))[:12]
