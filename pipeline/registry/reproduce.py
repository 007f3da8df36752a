"""Trains a version of the registered model again, and compares the weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from components.common.errors import DataError, PipelineError, TrackingError, TrainingError, first_line
from components.common.files import data_version, read_json, staged
from components.common.idx import FILE_NAMES
from components.common.tensorflow import tensorflow_version
from components.ingest.sources import FolderSource, Source, SourceError
from components.ingest.step import ingest
from components.register.step import RUN_TAG
from components.train.machine import THREADS
from pipeline.data.dataset import DATA_FILE, manifest
from pipeline.data.dvc_cache import DvcSource
from pipeline.git import is_repository, worktree
from pipeline.project import Project
from pipeline.registry.training_record import Difference, differences, with_recorded
from pipeline.tracking.store import open_store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PRINT_CODE_AND_MACHINE = """
import json
from components.train.machine import this_machine
from components.train.step import code_version
print(json.dumps({"code_version": code_version(), "machine": this_machine()}))
"""


@dataclass(frozen=True)
class Reproduction:
    """The recorded and the new training of a version: the content of each `training.json`.

    `folder` is the worktree of the new training, None if it was removed.
    """

    version: int
    recorded: dict[str, Any]
    made: dict[str, Any]
    folder: Path | None

    @property
    def identical(self) -> bool:
        """Whether the weights are the same, bit for bit."""
        return bool(self.recorded["weights_digest"] == self.made["weights_digest"])

    @property
    def differences(self) -> list[Difference]:
        """The inputs in which the trainings differ."""
        return differences(self.recorded, self.made)


def reproduce(project: Project, version: int, say: Callable[[str], None], keep: bool = False) -> Reproduction:
    """Trains a version again by the code of its commit, in a worktree below `build/`.

    Data and parameters are those of the version's MLflow run, and so is the number of threads. The project's
    files, runs and models stay as they are.

    Args:
        project: The project; its MLflow has the version, its repository the commit.
        version: The version of the registered model that `register.model_name` names.
        say: Called with a line for each input that is known to differ, before the training.
        keep: Do not remove the worktree.

    Raises:
        PipelineError: The version cannot be trained again: there is no such version, no record of its
            training, no such commit or data, or its training code was never committed.
        TrackingError: MLflow cannot be reached.
        TrainingError: A step of the commit's code failed, and has printed the reason.
    """
    name = project.params().register_.model_name
    registered = _find(project, name, version)
    commit, recorded = _commit(project, registered), _training(registered)
    settings = recorded["params"]
    say(f"{name} version {version}: {settings['model']['name']}, commit {commit[:12]}")
    say(f"data {recorded['data_version']}")
    threads = recorded["machines"][0]["threads"]
    folder = project.root / "build" / f"version-{version}-{uuid.uuid4().hex[:8]}"
    with worktree(project.root, commit, folder, keep) as root:
        copy = Project(root)
        here = json.loads(_run(root, threads, "-c", PRINT_CODE_AND_MACHINE, capture=True))
        _check_code(registered, recorded["code_version"], here["code_version"])
        expected = recorded | {
            "libraries": {"keras": installed("keras"), "tensorflow": tensorflow_version()},
            "machines": [{"first_epoch": 1} | here["machine"]],
        }
        for what, before, now in differences(recorded, expected):
            say(f"warning: the weights may differ: {what} was {before or 'absent'} and is {now or 'absent'}")
        _bring_data(project, copy, recorded["data_version"], say)
        yaml, path = YAML(), root / "params.yaml"
        yaml.dump(with_recorded(yaml.load(path), settings), path)
        for step in ("validate", "train"):
            say(f"{step}, with the code of the commit:")
            _run(root, threads, "fashion_pipeline.py", "step", step)
        made = read_json(copy.out("train") / "training.json", "train")
    return Reproduction(version, recorded, made, folder if keep else None)


def _find(project: Project, name: str, version: int) -> ModelVersion:
    open_store(project.root)
    from mlflow import MlflowClient

    from pipeline.tracking.experiment import refusals

    with refusals():
        found = {int(v.version): v for v in MlflowClient().search_model_versions(f"name = '{name}'")}
    if version not in found:
        there_are = ", ".join(map(str, sorted(found)))
        raise PipelineError(
            f"{name} has no version {version}" + (f", but {there_are}" if there_are else ""),
            "check the number, register.model_name in params.yaml, and MLFLOW_TRACKING_URI",
        )
    return found[version]


def _commit(project: Project, registered: ModelVersion) -> str:
    commit: str = registered.tags.get("mlflow.source.git.commit", "")
    if not commit:
        raise PipelineError(
            f"version {registered.version} names no commit: it was trained outside of a git repository",
            "train in a git repository, so that the next version names its commit",
        )
    if not is_repository(project.root):
        raise PipelineError(
            f"{project.root} is in no git repository, but version {registered.version} needs commit {commit}",
            "run this in a clone of the repository",
        )
    return commit


def _training(registered: ModelVersion) -> dict[str, Any]:
    """The content of `training.json` in the version's MLflow run."""
    import mlflow
    from mlflow.exceptions import MlflowException

    from pipeline.tracking.experiment import refusals

    run_id = registered.tags.get(RUN_TAG) or registered.run_id
    with refusals():
        try:
            deleted = mlflow.MlflowClient().get_run(run_id).info.lifecycle_stage == "deleted"
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            deleted = True
    if deleted:
        raise PipelineError(
            f"the MLflow run {run_id} was deleted, which has the parameters of version {registered.version}",
            f"restore it, unless `mlflow gc` has removed it: `mlflow runs restore --run-id {run_id}`",
        )
    uri = f"runs:/{run_id}/train/training.json"
    try:
        training: dict[str, Any] = mlflow.artifacts.load_dict(uri)
    except Exception as error:  # each kind of artifact store has its own exceptions
        raise TrackingError(
            f"{uri} cannot be read: {first_line(error)}",
            "check that this machine can read the run's artifacts",
        ) from error
    return training


def _check_code(registered: ModelVersion, recorded: str, committed: str) -> None:
    """Refuses a commit whose training code did not train the version.

    Other uncommitted changes do no harm: parameters and data are recorded. An experiment (`dvc exp run -S`)
    always has some.
    """
    if committed != recorded:
        changed = registered.tags.get("git.dirty") == "true"
        raise PipelineError(
            f"version {registered.version} was not trained by the training code of its commit"
            + (", but with uncommitted changes" if changed else ""),
            "it cannot be trained again; commit before you train, so that the next version can",
        )


def _bring_data(project: Project, copy: Project, version: str, say: Callable[[str], None]) -> None:
    """Brings the data from `data/` if it is this version, else from DVC's cache, remote, or its sources."""
    is_here = project.data.is_dir() and data_version(project.data) == version
    source: Source = FolderSource(project.data) if is_here else DvcSource(project.root, version)
    described = manifest(copy.root)
    if described.version == version:
        ingest(copy.data, described.sha256, [source, *described.sources], say=say)
        return
    (copy.root / DATA_FILE).unlink()  # validate would compare with it
    try:
        with staged(copy.data) as stage:
            source.fetch(stage, FILE_NAMES)
    except SourceError as error:
        raise DataError(
            f"the data {version}, which data.dvc of the commit does not describe, is missing: {error}",
            "`fashion data push` on the machine that has it, with the same DVC remote as here",
        ) from None


def _run(root: Path, threads: int, *arguments: str, capture: bool = False) -> str:
    """Runs Python with the code of a worktree, and returns what it prints if that is captured.

    The user's MLflow is not in its environment. It has a session of its own, so that Ctrl-C does not reach
    it, at which it would print that the same command continues: it is killed instead.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "FASHION_"))}
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env=kept | {"PYTHONPATH": str(root), THREADS: str(threads)},
        stdout=subprocess.PIPE if capture else None,
        encoding="utf-8",
        check=False,
        start_new_session=True,
    )
    if result.returncode:
        raise TrainingError("the code of the version's commit failed", "the reason is printed above")
    return result.stdout or ""
