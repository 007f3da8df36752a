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
from pipeline.kubeflow.runtime.exit_handler import headline, reason
from pipeline.kubeflow.runtime.step_status import StepStatus, read_statuses
from pipeline.tracking.store import tracking_uri

ORDER = ("parameters", "ingest", "plan", "validate", "train", "select", "evaluate", "gate", "register")
SWEEP_ONLY = {"plan", "select"}
LOG = "kfp.log"
"""Receives all that KFP says."""
NO_REASON = f"it left no reason; see outputs/kubeflow/{LOG}"


@dataclass(frozen=True)
class Step:
    """What became of a step: `ran`, `from cache`, `skipped`, `failed` or `not run`."""

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
        assignments: `NAME=VALUE` for a field of the form or a parameter.
        candidates: Makes it the sweep over these.
        cached: Whether steps whose inputs did not change are taken from the cache.

    Raises:
        PipelineError: A parameter is wrong, or MLflow's store cannot be opened. That a step failed
            is in the result.
    """
    from pipeline.params import load
    from pipeline.tracking.runs import Tracker

    name: PipelineName = "sweep" if candidates else "train"
    if not any(a.startswith("remote=") for a in assignments):
        assignments = [*assignments, f"remote={_cache(root)}"]
    form = pipeline_arguments(root, load(root / "params.yaml"), assignments, candidates)
    Tracker(root, form["experiment"])  # the store is made once, before steps run side by side
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
    succeeded, tasks = _execute(name, form, folder, cached)
    notes = read_statuses(str(folder / "state"), run_id)
    steps = step_results(name, notes, tasks)
    return LocalRun(steps, succeeded, outcome(succeeded, notes, steps))


def _execute(name: PipelineName, form: dict[str, object], folder: Path, cached: bool) -> tuple[bool, Tasks]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a GPU and limits mean nothing here
        from kfp import local

        pipeline = make_pipeline(name, Cluster(f"local-{_packages()}", gpus=0, retries=0))
        local.init(
            local.SubprocessRunner(use_venv=False), str(folder), raise_on_error=True, enable_caching=cached
        )
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("w", encoding="utf-8") as log:
            narrator: Any = Console(sys.stdout, log)
            logging.basicConfig(level=logging.INFO, stream=narrator, force=True)
            logging.getLogger().addFilter(narrator.heed)
            with redirect_stdout(narrator), redirect_stderr(narrator):
                try:
                    pipeline(**form)
                except RuntimeError as error:  # what KFP raises when a step failed
                    log.write(f"{error}\n")
                    return False, narrator.tasks
                finally:
                    logging.getLogger().removeFilter(narrator.heed)
                    logging.basicConfig(level=logging.WARNING, stream=sys.__stderr__, force=True)
    return True, narrator.tasks


def step_results(name: PipelineName, notes: dict[str, StepStatus], tasks: Tasks) -> list[Step]:
    """What became of each step.

    Args:
        name: The pipeline.
        notes: What the steps left.
        tasks: What KFP did.
    """
    words = {"done": "ran", "failed": "failed", "running": "failed"}
    hits, begun, done = Counter(tasks.hits), Counter(tasks.begun), Counter(tasks.done)
    steps: list[Step] = []
    for step in (*ORDER, "finish"):
        found = [note for note in notes.values() if note.step.split()[0] == step]
        rows = [Step(note.step, words[note.state], note.seconds, reason(note)) for note in found]
        lost = begun[step] - done[step] - sum(note.state != "done" for note in found)
        if lost > 0:
            rows.append(Step(step, "failed", line=NO_REASON))
        elif done[step] and not found:  # its note could not be kept
            rows.append(Step(step, "ran"))
        if hits[step]:
            count = hits[step] + begun[step]
            rows.append(Step(step, "from cache", line=f"{hits[step]} of {count}" if count > 1 else ""))
        if step == "finish":  # of interest only where it failed
            rows = [row for row in rows if row.state == "failed"]
        elif not rows and not (step in SWEEP_ONLY and name == "train"):
            failed = any(row.state == "failed" for row in steps)
            rows = [Step(step, "skipped" if step == "register" and not failed else "not run")]
        steps += rows
    return steps


def outcome(succeeded: bool, notes: dict[str, StepStatus], steps: list[Step]) -> str:
    """What came of the run in a line.

    Args:
        succeeded: Whether KFP says so.
        notes: What the steps left.
        steps: Their step_results.
    """
    lost = next((step.name for step in steps if step.line == NO_REASON), None)
    if not succeeded and lost and all(note.state == "done" for note in notes.values()):
        return f"failed in {lost}: {NO_REASON}"
    return headline(not succeeded, notes).replace("**", "")


def _cache(root: Path) -> Path:
    """DVC's cache, which is laid out like a remote."""
    from dvc.repo import Repo

    return Path(Repo(str(root)).cache.local.path).parents[1]


def _packages() -> str:
    """A digest of the installed packages: what an image's name tells on a cluster."""
    return content_key(sorted(f"{each.name}=={each.version}" for each in distributions()))[:12]
