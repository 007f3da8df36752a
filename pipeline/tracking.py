"""Runs in MLflow: one for each trained model, found again by the content that made it.

The files that the steps write are the truth; a run is their image. `record` makes a run say what the
files say, whatever was there before, so that a repeated step adds nothing and a lost store is filled.
"""

import csv
import getpass
import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from components.common.errors import PipelineError, TrackingError, first_line
from components.common.files import files_digest, read_json
from components.train.step import code_version
from pipeline.store import RUN_ID, git_version, is_embedded, open_store, store_folder

RUN_KEY = "run_key"
PIPELINE_RUN_TAG = "kubeflow_run."
"""With the id of a pipeline run (RUN_ID) behind it: that run works on this model, or its verdict."""
HISTORY_METRICS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "images_per_second")
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""The UI then opens the views of training, not those of language models."""
RECORDED_SUFFIXES = {".json", ".html", ".png", ".md", ".csv"}
"""Files of a step that go to the run. The model goes to the registry, if the gate lets it."""


@dataclass(frozen=True)
class Folders:
    """Where the steps put their files; None for a step that has not run yet."""

    validate: Path
    train: Path
    evaluate: Path | None = None
    gate: Path | None = None


class Tracker:
    """The runs of one experiment in the store of a project."""

    def __init__(self, root: Path, experiment: str) -> None:
        """Opens the store.

        Raises:
            TrackingError: The store cannot be reached or opened.
        """
        self.root = root
        self.uri = open_store(root)
        self.client = MlflowClient()
        # MLflow keeps absolute paths in SQLite; a store that was moved would write to its old place.
        sqlite = self.uri.startswith("sqlite:///")
        self.artifacts = (
            Path(self.uri.removeprefix("sqlite:///")).resolve().parent / "artifacts" if sqlite else None
        )
        self.injected = os.environ.get("MLFLOW_RUN_ID")
        self.experiment = experiment
        with refusals():
            if self.injected:  # the platform made a run for this step, in an experiment of its choice
                self.experiment_id = str(self.client.get_run(self.injected).info.experiment_id)
            else:
                self.experiment_id = self._experiment_id(experiment)

    def _experiment_id(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            location = None
            if self.artifacts:
                location = self.artifacts.as_uri()
            try:
                return str(self.client.create_experiment(name, location, EXPERIMENT_TAGS))
            except MlflowException:  # another process was faster
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        moved = self.artifacts and found.artifact_location != self.artifacts.as_uri()
        if moved and is_embedded(self.root):
            raise TrackingError(
                f"the runs in {store_folder(self.root)} were made at {found.artifact_location}",
                "move the project back there, or move its mlruns/ away: `make run` then records the last "
                "model anew",
            )
        return str(found.experiment_id)

    def find(self, run_key: str) -> Run | None:
        """The run of that content, if there is one."""
        runs = self.client.search_runs(
            [self.experiment_id], f"tags.{RUN_KEY} = '{run_key}'", order_by=["start_time ASC"], max_results=1
        )
        return runs[0] if runs else None

    def claim(self, run_key: str, verdict: str = "") -> None:
        """Says of a run, if there is one, that the pipeline run of this process works on it.

        Args:
            run_key: The content of the run.
            verdict: The gate's, once there is one.
        """
        if os.environ.get(RUN_ID):
            with refusals():
                if run := self.find(run_key):
                    self._claim(run, verdict)

    def _claim(self, run: Run, verdict: str = "") -> None:
        pipeline_run = os.environ.get(RUN_ID, "")
        tag = PIPELINE_RUN_TAG + pipeline_run
        if pipeline_run and (verdict or tag not in run.data.tags):
            self.client.set_tag(run.info.run_id, tag, verdict or "claimed")

    def claimed(self, pipeline_run: str) -> list[Run]:
        """The runs that a pipeline run has worked on, the one that its gate judged first."""
        tag = PIPELINE_RUN_TAG + pipeline_run
        runs = self.client.search_runs([self.experiment_id], f"tags.`{tag}` LIKE '%'")
        return sorted(runs, key=lambda run: run.data.tags[tag] == "claimed")

    @contextmanager
    def training(self, description: dict[str, Any]) -> Iterator[Callable[[dict[str, float]], None]]:
        """Marks the run as running while a model is trained, and gives what logs an epoch.

        A server that goes away during training costs the live curve, not the model: the next
        `record` fills in what is missing.
        """
        with refusals():
            run_id = self._ensure_run(description)
            self.client.update_run(run_id, status="RUNNING")
            known = {metric.step for metric in self.client.get_metric_history(run_id, "loss")}
        # In a thread of its own no write is cut by Ctrl-C, which would leave SQLite locked.
        writer = ThreadPoolExecutor(max_workers=1)
        live = True

        def on_epoch(row: dict[str, float]) -> None:
            nonlocal live
            if live and row["epoch"] not in known:
                try:
                    writer.submit(self.client.log_batch, run_id, metrics=_epoch_metrics(row)).result()
                except MlflowException as error:
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
                writer.submit(self.client.set_terminated, run_id, status).result()
            except MlflowException as error:
                print(f"MLflow does not answer, the run stays open there: {first_line(error)}")
            writer.shutdown()

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
            if made["weights_digest"] != training["weights_digest"]:
                raise PipelineError(
                    "model, evaluation and gate are not of the same weights", "run `dvc repro`"
                )
        with refusals():
            run_id = self._ensure_run(training)
            run = self.client.get_run(run_id)
            tags = {
                "weights_digest": training["weights_digest"],
                "data_version": training["data_version"],
                "code_version": training["code_version"],
            }
            self._record_history(run_id, folders.train / "history.csv")
            self._record_metrics(
                run, training["cost"] | {name: training[name] for name in ("parameters", "megaflops")}
            )
            if folders.evaluate and evaluation:
                metrics = {f"test_{name}": value for name, value in evaluation["metrics"].items()}
                metrics |= read_json(folders.evaluate / "performance.json", "evaluate")
                self._record_metrics(run, metrics)
            if gate:
                tags["gate"] = gate["verdict"]
            for step in ("validate", "train", "evaluate", "gate"):
                folder = getattr(folders, step)
                if folder:
                    tags |= self._record_files(run, step, folder)
            for name, value in tags.items():
                if run.data.tags.get(name) != value:
                    self.client.set_tag(run_id, name, value)
            if run.info.status != "FINISHED":
                self.client.set_terminated(run_id, "FINISHED")
        return run_id

    def _ensure_run(self, description: dict[str, Any]) -> str:
        run = self.find(description[RUN_KEY]) or self._create_run(description)
        self._claim(run)
        if not run.data.params:  # new, or its maker was killed right after making it
            params = _flatten(description["params"]) | _flatten(description["libraries"])
            self.client.log_batch(run.info.run_id, params=[Param(k, v) for k, v in params.items()])
        if not run.inputs.dataset_inputs:
            self._log_dataset(run, description)
        return str(run.info.run_id)

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

    def _log_dataset(self, run: Run, description: dict[str, Any]) -> None:
        shape = description["params"]["data"]
        dataset = Dataset(
            name=self.experiment,
            digest=description["data_version"],
            source_type="dvc",
            source=json.dumps({"uri": "data.dvc"}),
            profile=json.dumps({"train_images": shape["train_images"], "test_images": shape["test_images"]}),
        )
        self.client.log_inputs(
            run.info.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
        )

    def _record_history(self, run_id: str, path: Path) -> None:
        known = {metric.step for metric in self.client.get_metric_history(run_id, "loss")}
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
        missing = [metric for row in rows if row["epoch"] not in known for metric in _epoch_metrics(row)]
        for start in range(0, len(missing), 900):  # the server takes 1,000 at a time
            self.client.log_batch(run_id, metrics=missing[start : start + 900])

    def _record_metrics(self, run: Run, metrics: dict[str, float]) -> None:
        now = int(time.time() * 1000)
        changed = [
            Metric(name, value, now, 0)
            for name, value in metrics.items()
            if run.data.metrics.get(name) != value
        ]
        self.client.log_batch(run.info.run_id, metrics=changed)

    def _record_files(self, run: Run, step: str, folder: Path) -> dict[str, str]:
        """Uploads a step's small files unless these very files are there; returns the tag that says so."""
        files = [path for path in sorted(folder.iterdir()) if path.suffix in RECORDED_SUFFIXES]
        tag, digest = f"files.{step}", files_digest(files, folder)
        if run.data.tags.get(tag) != digest:
            for path in files:
                self.client.log_artifact(run.info.run_id, str(path), step)
        return {tag: digest}


def _epoch_metrics(row: dict[str, float]) -> list[Metric]:
    now = int(time.time() * 1000)
    return [Metric(name, row[name], now, int(row["epoch"])) for name in HISTORY_METRICS]


def _flatten(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat


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
    except MlflowException as error:
        raise TrackingError(
            f"MLflow refused or did not answer: {first_line(error)}",
            "check the server and MLFLOW_TRACKING_URI; running the same command again goes on from here",
        ) from error
