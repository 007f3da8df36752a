"""An MLflow experiment: where it is stored, and its tags."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy.exc import SQLAlchemyError

from components.common.errors import MLFLOW_SETTING, TrackingError
from components.registry.refusal import refusal
from pipeline.tracking.store import is_embedded, open_store, sqlite_file, store_folder

TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""The experiment is of training, not of language models; see also `server.experiment_page`."""


class Experiment:
    """An experiment in the store of a project. It is created, or restored, unless it is there.

    Args:
        root: The project.
        experiment: The experiment's name.
        read_only: Change nothing; then the experiment may be missing, and `experiment_id` is empty.

    Raises:
        TrackingError: The store cannot be reached or opened.
    """

    def __init__(self, root: Path, experiment: str, read_only: bool = False) -> None:
        self.root, self.experiment, self.read_only = root, experiment, read_only
        self.uri = open_store(root)
        self.client = MlflowClient()
        self.injected_run = os.environ.get("MLFLOW_RUN_ID")
        self._missing_tags: dict[str, str] = {}
        with refusals():
            if self.injected_run:  # the platform created a run for this step, in an experiment of its choice
                self.experiment_id = self._experiment_of(self.injected_run)
            else:
                self.experiment_id = self._find_or_create(experiment)

    def set_missing_tags(self) -> None:
        """Sets the tags that the experiment lacks. They only help the UI: a refusal is ignored."""
        while self._missing_tags:
            with suppress(MlflowException):
                self.client.set_experiment_tag(self.experiment_id, *self._missing_tags.popitem())

    def _experiment_of(self, run_id: str) -> str:
        try:
            return str(self.client.get_run(run_id).info.experiment_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise TrackingError(
                f"there is no run {run_id}, which MLFLOW_RUN_ID names",
                "unset it, or name a run of this server",
            ) from None

    def _find_or_create(self, name: str) -> str:
        # MLflow stores absolute paths in SQLite: a store that was moved would write to its old place.
        database = sqlite_file(self.uri)
        location = (database.resolve().parent / "artifacts").as_uri() if database else None
        found = self.client.get_experiment_by_name(name)
        if found is None:
            if self.read_only:
                return ""
            try:
                return str(self.client.create_experiment(name, location, TAGS))
            except MlflowException:  # another process was faster
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted" and not self.read_only:
            self.client.restore_experiment(found.experiment_id)
        self._missing_tags = dict(TAGS.items() - found.tags.items())
        if location and found.artifact_location != location and is_embedded(self.root):
            raise TrackingError(
                f"the runs in {store_folder(self.root)} were made at {found.artifact_location}",
                "move the project back there, or move its mlruns/ away: `make run` then records the last "
                "model again",
                f"set {MLFLOW_SETTING} to http://HOST:PORT",
            )
        return str(found.experiment_id)


@contextmanager
def refusals() -> Iterator[None]:
    """Turns the errors of MLflow, its database and its connection into a `TrackingError`."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, RequestException) as error:
        raise refusal(error) from error
