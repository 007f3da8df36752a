"""Runs in MLflow: one for each trained model, found again by the content of its inputs.

The files that the steps write are the source. `record` brings a run in line with them, whatever was recorded
before: a repeated step adds nothing, and a lost store is filled again.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities import Param, Run, RunTag, ViewType

from components.common.errors import SUBMIT_ANEW, PipelineError, TrackingError, first_line
from components.common.files import read_json
from components.common.performance import read_performance
from components.train.step import code_version
from pipeline.git import git_version
from pipeline.tracking.artifacts import artifact_faults, check_artifacts
from pipeline.tracking.experiment import Experiment, refusals
from pipeline.tracking.recording import (
    comparison_metrics,
    epoch_metrics,
    flatten,
    log_dataset,
    logged_epochs,
    record_files,
    record_history,
    record_metrics,
)
from pipeline.tracking.store import RUN_ID
from pipeline.tracking.user import system_user

RUN_KEY, WEIGHTS = "run_key", "weights_digest"
PIPELINE_RUN_TAG = "kubeflow_run."
"""The tag's name ends with the id of a pipeline run; its value is CLAIMED, CHOSEN, or the gate's verdict."""
CLAIMED, CHOSEN = "claimed", "chosen"
"""The pipeline run works on this model; it evaluates this model (of a sweep, the one that it selected)."""
MADE_BY_TAG = "made_by"
"""The pipeline run that finished the run; until then the last that worked on it."""


@dataclass(frozen=True)
class Folders:
    """The folders of the steps' files; None for a step that has not run yet."""

    validate: Path
    train: Path
    evaluate: Path | None = None
    gate: Path | None = None


class Tracker(Experiment):
    """The runs of one experiment in the store of a project."""

    def find(self, description: dict[str, Any], view: int = ViewType.ACTIVE_ONLY) -> Run | None:
        """The run of a training with these inputs, if there is one.

        Args:
            description: The inputs of a training. If it names the weights, too, the run must have these: the
                same inputs may give other weights on another kind of processor or GPU.
            view: Whether deleted runs are searched.
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
        """Tags a run, if there is one, as one that this process's pipeline run works on.

        Args:
            training: Content of `training.json`.
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
        """The runs that a pipeline run has worked on: first the one that its gate judged, then the chosen."""
        tag = PIPELINE_RUN_TAG + pipeline_run
        runs = self.client.search_runs([self.experiment_id], f"tags.`{tag}` LIKE '%'")
        order = {CHOSEN: 1, CLAIMED: 2}
        return sorted(runs, key=lambda run: order.get(run.data.tags[tag], 0))

    @contextmanager
    def training(self, description: dict[str, Any]) -> Iterator[Callable[[dict[str, float]], None]]:
        """Marks the run as running during a training, and yields a function that logs an epoch.

        A run that has its weights is left as it is. A server that fails during the training does not stop it:
        the next `record` adds what is missing.

        Raises:
            TrackingError: Before the training: the run or its artifacts cannot be stored.
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
        # In another thread, a write is not interrupted by Ctrl-C, which would leave SQLite locked.
        writer = ThreadPoolExecutor(max_workers=1)
        live = True

        def on_epoch(row: dict[str, float]) -> None:
            nonlocal live
            if live and row["epoch"] not in known:
                try:
                    writer.submit(self.client.log_batch, run_id, metrics=epoch_metrics(row)).result()
                except Exception as error:  # the training goes on
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
            except Exception as error:  # the model is trained all the same
                print(f"MLflow does not answer, the run stays open there: {first_line(error)}")
            writer.shutdown()

    def _end(self, run_id: str, status: str) -> None:
        """Ends the run, unless another pipeline run has finished the same training meanwhile."""
        if self.client.get_run(run_id).info.status == "FINISHED":
            return
        if status == "FINISHED" and os.environ.get(RUN_ID):
            self.client.set_tag(run_id, MADE_BY_TAG, os.environ[RUN_ID])
        self.client.set_terminated(run_id, status)

    def record(self, folders: Folders) -> str:
        """Records the steps' files in the run of the trained model, and returns the run's id.

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
            tags = {name: training[name] for name in (WEIGHTS, "data_version", "code_version")}
            performance = read_performance(folders.train, training[WEIGHTS])
            record_history(self.client, run_id, folders.train / "history.csv", performance.pop("epochs", []))
            network = {name: training[name] for name in ("parameters", "megaflops")}
            network["temperature"] = training["calibration"]["temperature"]
            record_metrics(self.client, run, performance | network)
            if folders.evaluate and evaluation:
                metrics = {f"test_{name}": value for name, value in evaluation["metrics"].items()}
                metrics |= read_performance(folders.evaluate, training[WEIGHTS])
                record_metrics(self.client, run, metrics)
            if gate:
                tags |= {"gate": gate["verdict"], "verdict": gate["sentence"]}
                record_metrics(self.client, run, comparison_metrics(gate["comparison"]))
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
        self.set_missing_tags()
        if not run.data.params:  # new, or whoever created it was killed right after
            params = flatten(description["params"]) | flatten(description["libraries"])
            self.client.log_batch(run.info.run_id, params=[Param(k, v) for k, v in params.items()])
        if not run.inputs.dataset_inputs:
            log_dataset(self.client, run, self.experiment, description)
        return self.client.get_run(run.info.run_id)

    def _restore_run(self, description: dict[str, Any]) -> Run | None:
        """Restores the run if it was deleted: a version in the registry may point to it."""
        run = self.find(description, ViewType.DELETED_ONLY)
        if run:
            self.client.restore_run(run.info.run_id)
        return run

    def _create_run(self, description: dict[str, Any]) -> Run:
        model = description["params"]["model"]["name"]
        tags = {
            RUN_KEY: description[RUN_KEY],
            "mlflow.user": system_user(),
            "mlflow.source.name": "fashion step train",
            "mlflow.source.type": "LOCAL",
        }
        if description["code_version"] == code_version():  # else another commit trained it
            tags |= git_version()
        if self.injected_run:
            self.client.log_batch(self.injected_run, tags=[RunTag(k, v) for k, v in tags.items()])
            return self.client.get_run(self.injected_run)
        return self.client.create_run(
            self.experiment_id, tags=tags, run_name=f"{model}-{description[RUN_KEY][:8]}"
        )
