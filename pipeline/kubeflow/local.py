"""The pipeline in KFP's own local runner: no cluster, the same components, the same files."""

from __future__ import annotations

import logging
import os
import sys
import uuid
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.kubeflow.compiler import PipelineName, make_pipeline
from pipeline.kubeflow.finish import headline, reason
from pipeline.kubeflow.form import form_values
from pipeline.kubeflow.narrator import Narrator
from pipeline.kubeflow.notes import Note, read_notes
from pipeline.kubeflow.settings import Cluster
from pipeline.store import CODE_ROOT, tracking_uri

ORDER = ("parameters", "ingest", "plan", "validate", "train", "select", "evaluate", "gate", "register")
SWEEP_ONLY = {"plan", "select"}
LOG = "kfp.log"
"""Receives all that KFP says."""


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
    from pipeline.tracking import Tracker

    name: PipelineName = "sweep" if candidates else "train"
    if not any(a.startswith("remote=") for a in assignments):
        assignments = [*assignments, f"remote={_cache(root)}"]
    form = form_values(root, load(root / "params.yaml"), assignments, candidates)
    Tracker(root, form["experiment"])  # the store is made once, before steps run side by side
    folder, run_id = root / "outputs" / "kubeflow", uuid.uuid4().hex
    path = [str(CODE_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {
        "MLFLOW_TRACKING_URI": tracking_uri(root),
        "FASHION_STATE_URL": str(folder / "state"),
        "FASHION_RUN_ID": run_id,
        "PYTHONPATH": os.pathsep.join(path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    succeeded = _execute(name, form, folder, cached)
    notes = read_notes(str(folder / "state"), run_id)
    return LocalRun(_steps(name, notes), succeeded, headline(not succeeded, notes).replace("**", ""))


def _execute(name: PipelineName, form: dict[str, object], folder: Path, cached: bool) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a GPU and limits mean nothing here
        from kfp import local

        pipeline = make_pipeline(name, Cluster("local", gpus=0, retries=0))
        local.init(
            local.SubprocessRunner(use_venv=False), str(folder), raise_on_error=True, enable_caching=cached
        )
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOG).open("w", encoding="utf-8") as log:
            narrator: Any = Narrator(sys.stdout, log)
            logging.basicConfig(level=logging.INFO, stream=narrator, force=True)
            with redirect_stdout(narrator), redirect_stderr(narrator):
                try:
                    pipeline(**form)
                except RuntimeError as error:  # what KFP raises when a step failed
                    log.write(f"{error}\n")
                    return False
                finally:
                    logging.basicConfig(level=logging.WARNING, stream=sys.__stderr__, force=True)
    return True


def _steps(name: PipelineName, notes: dict[str, Note]) -> list[Step]:
    """Each step's fate. KFP tells it to its log alone; whoever ran has left a note."""
    words = {"done": "ran", "failed": "failed", "running": "failed"}
    steps = []
    failed = False
    for step in ORDER:
        found = [note for note in notes.values() if note.step.split()[0] == step]
        steps += [Step(note.step, words[note.state], note.seconds, reason(note)) for note in found]
        failed |= any(note.state != "done" for note in found)
        if found or (step in SWEEP_ONLY and name == "train"):
            continue
        if failed:
            steps.append(Step(step, "not run"))
        else:
            steps.append(Step(step, "skipped" if step == "register" else "from cache"))
    return steps


def _cache(root: Path) -> Path:
    """DVC's cache, which is laid out like a remote."""
    from dvc.repo import Repo

    return Path(Repo(str(root)).cache.local.path).parents[1]
