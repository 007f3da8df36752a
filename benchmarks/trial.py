"""A model trained, evaluated and judged by the pipeline's own steps, in a folder of its own."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from components.common.errors import PipelineError
from components.common.files import content_key, data_version, read_json
from components.common.performance import read_performance
from components.train.settings import Settings
from components.train.step import code_version, describe_run
from components.train.zoo import MODEL_NAMES
from pipeline.project import Project
from pipeline.tracking.experiment import refusals
from pipeline.tracking.runs import RUN_KEY, Folders, Tracker
from pipeline.tracking.store import tracking_uri

ROOT = Path(__file__).parents[1]
STEPS = ("validate", "train", "evaluate", "gate")
"""Not register: a comparison makes no versions."""

Curve = list[tuple[float, float]]
"""After each epoch: seconds of training so far, and accuracy."""


@dataclass(frozen=True)
class Trial:
    """A model under its own settings, with a seed, for `epochs` or as many as its settings say."""

    model: str
    seed: int
    epochs: int | None = None

    @property
    def project(self) -> Project:
        """The folder in which the steps run: parameters of its own, and the project's data."""
        suffix = "" if self.epochs is None else f"-{self.epochs}-epochs"
        return Project(ROOT / "outputs" / "trials" / f"{self.model}-seed{self.seed}{suffix}")

    def prepare(self, experiment: str) -> None:
        """Creates the folder with the project's parameters and the trial's model, settings and experiment."""
        root = self.project.root
        root.mkdir(parents=True, exist_ok=True)
        for name in ("data", "data.dvc"):
            (root / name).unlink(missing_ok=True)
            (root / name).symlink_to(os.path.relpath(ROOT / name, root))
        params = YAML().load(ROOT / "params.yaml")
        params["model"]["name"] = self.model
        params["train"] |= dict.fromkeys(Settings.__dataclass_fields__)
        params["train"] |= {"seed": self.seed, "epochs": self.epochs}
        params["tracking"]["experiment"] = experiment
        YAML().dump(params, root / "params.yaml")

    def run(self, tracker: Tracker, parent: str) -> "Result":
        """Trains if that is not done yet, evaluates, judges, and nests the MLflow run below `parent`.

        Raises:
            PipelineError: A step failed; it has said why.
        """
        self.prepare(tracker.experiment)
        folders = Folders(**{step: self.project.out(step) for step in STEPS})
        for step in STEPS[2:] if self._trained() else STEPS:
            self._step(step)
        run_id = tracker.record(folders)
        with refusals():
            tracker.client.set_tag(run_id, "mlflow.parentRunId", parent)
        return Result(self)

    def _step(self, step: str) -> None:
        """Runs a step in a subprocess, so that its peak memory is measured separately."""
        result = subprocess.run(
            [sys.executable, "-m", "pipeline.cli.main", "step", step],
            cwd=self.project.root,
            env=os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": tracking_uri(ROOT)},
            check=False,
        )
        if result.returncode:
            raise PipelineError(
                f"step {step} of {self.model} ended with {result.returncode}",
                "correct that, and run the same command again: it goes on from there",
            )

    def _trained(self) -> bool:
        params = self.project.params()
        try:
            training = read_json(self.project.out("train") / "training.json", "train")
        except PipelineError:
            return False
        expected = describe_run(ROOT / "data", params.data, params.model, params.train)
        measured = read_performance(self.project.out("train"), training["weights_digest"])
        return bool(measured and training["run_key"] == expected["run_key"])


@dataclass(frozen=True)
class Result:
    """What the steps of a trial have written."""

    trial: Trial

    def _read(self, step: str, name: str) -> Any:
        return read_json(self.trial.project.out(step) / name, step)

    @cached_property
    def training(self) -> Any:
        """`training.json`."""
        return self._read("train", "training.json")

    @cached_property
    def metrics(self) -> Any:
        """`metrics.json`."""
        return self._read("evaluate", "metrics.json")

    @cached_property
    def performance(self) -> dict[str, Any]:
        """What the training and the evaluation took."""
        folders = map(self.trial.project.out, ("train", "evaluate"))
        trained, evaluated = (read_performance(each, self.training["weights_digest"]) for each in folders)
        return trained | evaluated

    @cached_property
    def gate(self) -> str:
        """The gate's verdict."""
        return str(self._read("gate", "gate.json")["verdict"])

    @cached_property
    def curve(self) -> Curve:
        """After each epoch: seconds of training so far, and accuracy on the held-out images."""
        with (self.trial.project.out("train") / "history.csv").open(newline="", encoding="utf-8") as file:
            accuracies = [float(row["val_accuracy"]) for row in csv.DictReader(file)]
        seconds = accumulate(epoch["seconds"] for epoch in self.performance["epochs"])
        return list(zip(seconds, accuracies, strict=True))

    @property
    def seconds(self) -> float:
        """Seconds of training, without validation."""
        return float(self.performance["train_seconds"])


@contextmanager
def parent_run(tracker: Tracker, name: str, scale: float = 1) -> Iterator[str]:
    """The run that the trials' runs are nested in: one for each version of data and code.

    Raises:
        TrackingError: The server refused a call or went away.
    """
    key = content_key({"data": data_version(ROOT / "data"), "code": code_version(), "scale": scale})
    client = tracker.client
    with refusals():
        found = client.search_runs([tracker.experiment_id], f"tags.{RUN_KEY} = '{key}'", max_results=1)
        run = found[0] if found else None
        if run is None:
            run = client.create_run(tracker.experiment_id, tags={RUN_KEY: key}, run_name=name)
        client.update_run(run.info.run_id, status="RUNNING")
    status = "FAILED"
    try:
        yield str(run.info.run_id)
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        with refusals():
            client.set_terminated(run.info.run_id, status)


def reached_after(curve: Curve, seconds: float) -> float | None:
    """The accuracy after the last epoch that had ended after so many seconds; None if none had."""
    return next((accuracy for at, accuracy in reversed(curve) if at <= seconds), None)


def seconds_until(curve: Curve, accuracy: float) -> float | None:
    """The seconds after which an accuracy was first reached; None if never."""
    return next((at for at, reached in curve if reached >= accuracy), None)


def model_names(context: click.Context, option: click.Parameter, value: str) -> list[str]:
    """The names of an option's value, separated by commas; an unknown one is refused with the known."""
    return [click.Choice(MODEL_NAMES).convert(name.strip(), option, context) for name in value.split(",")]
