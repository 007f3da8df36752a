"""What a promoter process does in a round: it registers a version and makes it champion if it is the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.errors import first_line
from components.register.promotion import Comparison, promote
from components.register.step import drop_copies, find_version
from components.registry.history import CHAMPION
from components.registry.registry import GATE_TAG, WEIGHTS_TAG, Registry
from pipeline.tracking.settings import configure_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ACCURACY_TAG = "test_accuracy"


@dataclass(frozen=True)
class Model:
    """What a promoter brings: digest of the weights, and accuracy."""

    weights: str
    accuracy: float


@dataclass(frozen=True)
class Task:
    """A promoter's part in a round.

    Args:
        name: The registered model.
        model: The model to register.
        history: By way of the history; if not, the promoter looks, compares and sets the alias.
        registered: All wait for each other when each has registered its version; if not, before that.
    """

    name: str
    model: Model
    history: bool
    registered: bool


def work(url: str, barrier: Barrier, tasks: Queue[Task | None], outcomes: Queue[tuple[str, str]]) -> None:
    """A promoter process: does task after task until there is None, and answers with its name and error."""
    configure_mlflow()
    from mlflow import MlflowClient

    client = MlflowClient(url)
    while task := tasks.get():
        outcomes.put((task.name, do(client, task, barrier.wait)))


def do(client: MlflowClient, task: Task, wait: Callable[[], object]) -> str:
    """Does a task; returns the error, or an empty text."""
    registry = Registry(client, task.name)
    error = ""
    try:
        source, model_id = log_model(client)
    except Exception as raised:
        error = first_line(raised)
    if not task.registered:
        wait()
    try:
        version = None if error else register(registry, task.model, source, model_id)
    except Exception as raised:
        version, error = None, f"registering: {first_line(raised)}"
    if task.registered:
        wait()
    try:
        if version:
            (with_history if task.history else with_alias)(registry, version, task.model)
    except Exception as raised:
        error = f"promoting: {first_line(raised)}"
    return error


def log_model(client: MlflowClient) -> tuple[str, str]:
    """Logs a model of one small file; returns its URI and id."""
    logged = client.create_logged_model("0", name="model")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        file.write_text("not read", encoding="utf-8")
        client.log_model_artifact(logged.model_id, str(file), "data")
    return f"models:/{logged.model_id}", logged.model_id


def register(registry: Registry, model: Model, source: str, model_id: str) -> ModelVersion:
    """Registers a model once, as the register step does."""
    found = find_version(registry.client, registry.name, model.weights)
    if found is None:
        tags = {WEIGHTS_TAG: model.weights, ACCURACY_TAG: repr(model.accuracy), GATE_TAG: "passed"}
        made = registry.create_version(source, "", model_id, tags)
        found = find_version(registry.client, registry.name, model.weights) or made
    drop_copies(registry, found)
    return found


def with_history(registry: Registry, version: ModelVersion, model: Model) -> None:
    """Promotes a version as the register step does."""

    def compare(champion: ModelVersion) -> tuple[Comparison, str]:
        theirs = float(champion.tags[ACCURACY_TAG])
        return {"beats": model.accuracy > theirs}, f"accuracy {model.accuracy} against {theirs}"

    promote(registry, version, compare, "there is no champion", "promoter")
    registry.reconcile()


def with_alias(registry: Registry, version: ModelVersion, model: Model) -> None:
    """Looks, compares and sets the alias: what one would do without a history."""
    client = registry.client
    number = client.get_registered_model(registry.name).aliases.get(CHAMPION)
    if number:
        champion = client.get_model_version(registry.name, number)
        if model.accuracy <= float(champion.tags[ACCURACY_TAG]):
            return
    client.set_registered_model_alias(registry.name, CHAMPION, version.version)
