"""Runs in MLflow: one for each trained model, found again by the content that made it.

The files that the steps write are the truth; a run is their image. `record` makes a run say what the
files say, whatever was there before, so that a repeated step adds nothing and a lost store is filled.
"""

import getpass
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from components.common.errors import MLFLOW_SETTING, SUBMIT_ANEW, PipelineError, TrackingError, first_line
from components.common.files import read_json
from components.common.performance import read_performance
from components.train.step import code_version
from pipeline.git import git_version
from pipeline.tracking.artifacts import artifact_faults, check_artifacts
from pipeline.tracking.recording import (
    epoch_metrics,
    flatten,
    log_dataset,
    logged_epochs,
    record_files,
    record_history,
    record_metrics,
)
from pipeline.tracking.store import RUN_ID, is_embedded, open_store, sqlite_file, store_folder

RUN_KEY, WEIGHTS = "run_key", "weights_digest"
PIPELINE_RUN_TAG = "kubeflow_run."
"""With the id of a pipeline run (RUN_ID) behind it: CLAIMED, CHOSEN, or the verdict of its gate."""
CLAIMED, CHOSEN = "claimed", "chosen"
"""The pipeline run works on this model; it evaluates and judges this model, of a sweep no other."""
MADE_BY_TAG = "made_by"
"""The pipeline run that answers for the run: the one that finished it, until then the last to work on it."""
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""The experiment is of training, not of language models; see `server.experiment_page`, too."""


@dataclass(frozen=True)
class Folders:
    """Where the steps put their files; None for a step that has not run yet."""

    validate: Path
    train: Path
    evaluate: Path | None = None
    gate: Path | None = None


class Tracker:
    """The runs of one experiment in the store of a project."""

    def __init__(self, root: Path, experiment: str, read_only: bool = False) -> None:
        """Opens the store.

        Args:
            root: The project.
            experiment: The experiment's name. It is made, or restored, unless it is there.
            read_only: Leave it as it is; then it may be missing, and `experiment_id` empty.

        Raises:
            TrackingError: The store cannot be reached or opened.
        """
        self.root = root
        self.uri = open_store(root)
        self.client = MlflowClient()
        # MLflow keeps absolute paths in SQLite; a store that was moved would write to its old place.
        database = sqlite_file(self.uri)
        self.artifacts = database.resolve().parent / "artifacts" if database else None
        self.injected = os.environ.get("MLFLOW_RUN_ID")
        self.experiment, self.read_only = experiment, read_only
        self.missing_tags: dict[str, str] = {}
        with refusals():
            if self.injected:  # the platform made a run for this step, in an experiment of its choice
                self.experiment_id = self._injected_experiment(self.injected)
            else:
                self.experiment_id = self._experiment_id(experiment)

    def _injected_experiment(self, run_id: str) -> str:
        try:
            return str(self.client.get_run(run_id).info.experiment_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise TrackingError(
                f"there is no run {run_id}, which MLFLOW_RUN_ID names",
                "unset it, or name a run of this server",
            ) from None

    def _experiment_id(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            if self.read_only:
                return ""
            location = None
            if self.artifacts:
                location = self.artifacts.as_uri()
            try:
                return str(self.client.create_experiment(name, location, EXPERIMENT_TAGS))
            except MlflowException:  # another process was faster
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted" and not self.read_only:
            self.client.restore_experiment(found.experiment_id)
        self.missing_tags = dict(EXPERIMENT_TAGS.items() - found.tags.items())
        moved = self.artifacts and found.artifact_location != self.artifacts.as_uri()
        if moved and is_embedded(self.root):
            raise TrackingError(
                f"the runs in {store_folder(self.root)} were made at {found.artifact_location}",
                "move the project back there, or move its mlruns/ away: `make run` then records the last "
                "model anew",
                f"set {MLFLOW_SETTING} to http://HOST:PORT",
            )
        return str(found.experiment_id)

    def find(self, description: dict[str, Any], view: int = ViewType.ACTIVE_ONLY) -> Run | None:
        """The run of that content, if there is one.

        Args:
            description: Of a training. Once it names the weights, a run of others is not meant: the same
                content may give other weights on another kind of processor or GPU.
            view: Whether deleted runs are meant.
        """
        if not self.experiment_id:
            return None
        runs = self.client.search_runs(
            [self.experiment_id],
            f"tags.{RUN_KEY} = '{description[RUN_KEY]}'",
            view,
            order_by=["start_time ASC"],
        )
        weights = description.get(WEIGHTS)
        if weights:
            unknown = [run for run in runs if WEIGHTS not in run.data.tags]
            runs = [run for run in runs if run.data.tags.get(WEIGHTS) == weights] or unknown
        return runs[0] if runs else None

    def claim(self, training: dict[str, Any], state: str = CLAIMED) -> None:
        """Says of a run, if there is one, that the pipeline run of this process works on it.

        Args:
            training: What the train step wrote.
            state: CLAIMED, CHOSEN, or the gate's verdict.
        """
        if os.environ.get(RUN_ID):
            with refusals():
                if run := self.find(training):
                    self._claim(run, state)

    def _claim(self, run: Run, state: str = CLAIMED) -> None:
        pipeline_run = os.environ.get(RUN_ID)
        if not pipeline_run:
            return
        tag = PIPELINE_RUN_TAG + pipeline_run
        if state != CLAIMED or tag not in run.data.tags:
            self.client.set_tag(run.info.run_id, tag, state)
        if run.info.status != "FINISHED":
            self.client.set_tag(run.info.run_id, MADE_BY_TAG, pipeline_run)

    def claimed(self, pipeline_run: str) -> list[Run]:
        """The runs that a pipeline run has worked on; first the one that its gate judged, then the chosen."""
        tag = PIPELINE_RUN_TAG + pipeline_run
        runs = self.client.search_runs([self.experiment_id], f"tags.`{tag}` LIKE '%'")
        order = {CHOSEN: 1, CLAIMED: 2}
        return sorted(runs, key=lambda run: order.get(run.data.tags[tag], 0))

    @contextmanager
    def training(self, description: dict[str, Any]) -> Iterator[Callable[[dict[str, float]], None]]:
        """Marks the run as running while a model is trained, and gives what logs an epoch.

        A run that knows its weights stays as it is: whether this training ends in the same, `record` sees.
        A server that goes away during training costs the live curve, not the model: the next
        `record` fills in what is missing.

        Raises:
            TrackingError: Before the training, where the run or its artifacts could not be kept.
        """
        with refusals():
            run = self._ensure_run(description)
            try:
                check_artifacts(self.uri, run)
            except TrackingError:
                if run.info.status != "FINISHED":
                    self.client.set_terminated(run.info.run_id, "FAILED")
                raise
        if WEIGHTS in run.data.tags:
            yield lambda _: None
            return
        run_id = str(run.info.run_id)
        with refusals():
            self.client.update_run(run_id, status="RUNNING")
            known = logged_epochs(self.client, run_id)
        # In a thread of its own no write is cut by Ctrl-C, which would leave SQLite locked.
        writer = ThreadPoolExecutor(max_workers=1)
        live = True

        def on_epoch(row: dict[str, float]) -> None:
            nonlocal live
            if live and row["epoch"] not in known:
                try:
                    writer.submit(self.client.log_batch, run_id, metrics=epoch_metrics(row)).result()
                except Exception as error:  # whatever it is, the training goes on
                    live = False
                    print(f"MLflow does not answer, the run is recorded later: {first_line(error)}")

        status = "FAILED"
        try:
            yield on_epoch
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            try:
                writer.submit(self._end, run_id, status).result()
            except Exception as error:  # nor does it end the step
                print(f"MLflow does not answer, the run stays open there: {first_line(error)}")
            writer.shutdown()

    def _end(self, run_id: str, status: str) -> None:
        """Ends a training's run, unless another pipeline run has finished the same training meanwhile."""
        if self.client.get_run(run_id).info.status == "FINISHED":
            return
        if status == "FINISHED" and os.environ.get(RUN_ID):
            self.client.set_tag(run_id, MADE_BY_TAG, os.environ[RUN_ID])
        self.client.set_terminated(run_id, status)

    def record(self, folders: Folders) -> str:
        """Makes the run of a trained model say what the steps' files say, and returns its id.

        Raises:
            PipelineError: The files are not of one model.
            TrackingError: The server refused a call or went away.
        """
        training = read_json(folders.train / "training.json", "train")
        evaluation = folders.evaluate and read_json(folders.evaluate / "evaluation.json", "evaluate")
        gate = folders.gate and read_json(folders.gate / "gate.json", "gate")
        for made in filter(None, (evaluation, gate)):
            if made[WEIGHTS] != training[WEIGHTS]:
                raise PipelineError(
                    "model, evaluation and gate are not of the same weights", "run `dvc repro`", SUBMIT_ANEW
                )
        with refusals():
            run = self._ensure_run(training)
            run_id = str(run.info.run_id)
            tags = {
                WEIGHTS: training[WEIGHTS],
                "data_version": training["data_version"],
                "code_version": training["code_version"],
            }
            performance = read_performance(folders.train, training[WEIGHTS])
            record_history(self.client, run_id, folders.train / "history.csv", performance.pop("epochs", []))
            size = {name: training[name] for name in ("parameters", "megaflops")}
            record_metrics(self.client, run, performance | size)
            if folders.evaluate and evaluation:
                metrics = {f"test_{name}": value for name, value in evaluation["metrics"].items()}
                metrics |= read_performance(folders.evaluate, training[WEIGHTS])
                record_metrics(self.client, run, metrics)
            if gate:
                tags["gate"] = gate["verdict"]
            for step in ("validate", "train", "evaluate", "gate"):
                folder = getattr(folders, step)
                if folder:
                    with artifact_faults(self.uri, run.info.artifact_uri):
                        tags |= record_files(self.client, run, step, folder)
            for name, value in tags.items():
                if run.data.tags.get(name) != value:
                    self.client.set_tag(run_id, name, value)
            if run.info.status != "FINISHED":
                self.client.set_terminated(run_id, "FINISHED")
        return run_id

    def _ensure_run(self, description: dict[str, Any]) -> Run:
        run = self.find(description) or self._restore_run(description) or self._create_run(description)
        self._claim(run)
        for tag in list(self.missing_tags):
            with suppress(MlflowException):  # it may be another's experiment, and is a help for the UI alone
                self.client.set_experiment_tag(self.experiment_id, tag, self.missing_tags.pop(tag))
        if not run.data.params:  # new, or its maker was killed right after making it
            params = flatten(description["params"]) | flatten(description["libraries"])
            self.client.log_batch(run.info.run_id, params=[Param(k, v) for k, v in params.items()])
        if not run.inputs.dataset_inputs:
            log_dataset(self.client, run, self.experiment, description)
        return self.client.get_run(run.info.run_id)

    def _restore_run(self, description: dict[str, Any]) -> Run | None:
        """The run of that content that somebody has deleted: a version in the registry may point to it."""
        run = self.find(description, ViewType.DELETED_ONLY)
        if run:
            self.client.restore_run(run.info.run_id)
        return run

    def _create_run(self, description: dict[str, Any]) -> Run:
        model = description["params"]["model"]["name"]
        tags = {
            RUN_KEY: description[RUN_KEY],
            "mlflow.user": _user(),
            "mlflow.source.name": "fashion step train",
            "mlflow.source.type": "LOCAL",
        }
        if description["code_version"] == code_version():  # else this commit is not what trained it
            tags |= git_version()
        if self.injected:
            self.client.log_batch(self.injected, tags=[RunTag(k, v) for k, v in tags.items()])
            return self.client.get_run(self.injected)
        return self.client.create_run(
            self.experiment_id, tags=tags, run_name=f"{model}-{description[RUN_KEY][:8]}"
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


@contextmanager
def refusals() -> Iterator[None]:
    """Turns what MLflow raises into a line that a user can act on."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, RequestException) as error:
        raise TrackingError(
            f"MLflow refused or did not answer: {first_line(error)}",
            "check the server and MLFLOW_TRACKING_URI; running the same command again goes on from here",
            f"check the server and {MLFLOW_SETTING}, then submit the run again",
        ) from error
