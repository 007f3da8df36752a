"""The versions in the model registry, as people see them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from components.common.files import read_json
from components.register.step import COMMIT_TAG, DIRTY_TAG, find_version
from components.registry.history import CHALLENGER, CHAMPION, Entry
from components.registry.predictions import artifacts, has_files
from components.registry.registry import (
    CARD_FOLDER,
    DATA_TAG,
    GATE_TAG,
    SENTENCE_TAG,
    WEIGHTS_TAG,
    Registry,
    Snapshot,
)
from pipeline.project import Project

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from pipeline.tracking.runs import Tracker


def open_registry(root: Path, name: str) -> Registry:
    """The registered model `name` in the store of a project.

    Raises:
        TrackingError: The store cannot be reached or opened.
    """
    from pipeline.tracking.store import open_store

    open_store(root)
    from mlflow import MlflowClient

    return Registry(MlflowClient(), name)


def find_number(now: Snapshot, name: str, number: int) -> ModelVersion:
    """The version with this number.

    Raises:
        PipelineError: There is none.
    """
    if number not in now.versions:
        known = ", ".join(map(str, now.versions)) or "none"
        raise PipelineError(
            f"{name} has no version {number}; there are: {known}", "`fashion models` lists them"
        )
    return now.versions[number]


def describe_versions(now: Snapshot) -> list[dict[str, Any]]:
    """What `fashion models` says of each version, the oldest first."""
    return [
        {
            "version": number,
            "aliases": sorted(alias for alias, holder in now.aliases.items() if holder == number),
            "withdrawn": number in now.state.withdrawn,
            "accuracy": _number(version, "test_accuracy"),
            "accuracy_lower": _number(version, "test_accuracy_lower"),
            "accuracy_upper": _number(version, "test_accuracy_upper"),
            "gate": version.tags.get(GATE_TAG),
            "verdict": version.tags.get(SENTENCE_TAG),
            "data_version": version.tags.get(DATA_TAG),
            "weights_digest": version.tags.get(WEIGHTS_TAG),
            "commit": version.tags.get(COMMIT_TAG),
            "uncommitted_changes": version.tags.get(DIRTY_TAG) == "true",
            "created": time_text(version.creation_timestamp),
            "user": version.tags.get("mlflow.user"),
        }
        for number, version in now.versions.items()
    ]


def describe_entry(entry: Entry) -> dict[str, Any]:
    """What `fashion models history` says of an entry."""
    return {
        "time": time_text(entry.time),
        "by": entry.by,
        "action": entry.action,
        "from": entry.previous or None,
        "to": entry.champion or None,
        "withdrawn": entry.withdrawn or None,
        "reason": entry.reason,
    }


def read_card(registry: Registry, number: int) -> str:
    """The model card of a version, Markdown.

    Raises:
        PipelineError: There is no such version, or it has no card.
    """
    now = registry.read()
    version = find_number(now, registry.name, number)
    repository = artifacts(registry.client, version)
    path = f"{CARD_FOLDER}/card.md"
    if not has_files(registry.client, version) or path not in [
        file.path for file in repository.list_artifacts(CARD_FOLDER) or ()
    ]:
        raise PipelineError(
            f"version {number} has no model card",
            "`make run` with the commit and the parameters of it makes one",
        )
    with TemporaryDirectory() as folder:
        return Path(repository.download_artifacts(path, folder)).read_text(encoding="utf-8")


def status_line(registry: Registry, number: int) -> str:
    """What a version is now: `version 2 now: withdrawn`. Its card says what it was when it was registered."""
    now = registry.read()
    words = [alias for alias, holder in now.aliases.items() if holder == number]
    words += ["withdrawn"] * (number in now.state.withdrawn)
    return f"version {number} now: {', '.join(words) or 'neither champion nor challenger'}"


def time_text(milliseconds: int) -> str:
    """A time of the server: `2026-11-27 04:10:33 UTC`."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _number(version: ModelVersion, tag: str) -> float | None:
    return float(version.tags[tag]) if tag in version.tags else None


def last_model(project: Project, tracker: Tracker, name: str) -> tuple[str, str] | None:
    """Looks the last trained model up among the versions of the registered model `name`.

    Returns:
        Its version with aliases and its model URI: `fashion-mnist version 1, champion` and
        `models:/fashion-mnist/1`. For a rejected model `not registered` and no URI. None when MLflow
        does not have the run or the version, or the aliases are not those that follow from the history.

    Raises:
        PipelineError: The pipeline has not run yet.
        TrackingError: The registry cannot be reached.
    """
    from pipeline.tracking.experiment import refusals

    training = read_json(project.out("train") / "training.json", "train")
    gate = read_json(project.out("gate") / "gate.json", "gate")
    with refusals():
        if tracker.find(training) is None:
            return None
        if gate["verdict"] != "passed":
            return "not registered", ""
        version = find_version(tracker.client, name, training["weights_digest"])
        now = Registry(tracker.client, name).read()
    if version is None:
        return None
    aliases = {alias: now.aliases[alias] for alias in (CHAMPION, CHALLENGER) if alias in now.aliases}
    could_be_champion = not now.state.champion and int(version.version) not in now.state.withdrawn
    if could_be_champion or aliases != now.state.aliases:
        return None
    held = sorted(alias for alias, number in now.aliases.items() if number == int(version.version))
    label = f"{name} version {version.version}, {' and '.join(held) or 'without an alias'}"
    return label, f"models:/{name}/{version.version}"
