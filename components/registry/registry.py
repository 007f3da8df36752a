"""Reads versions and history from the MLflow model registry, adds to the history, and sets the aliases."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from components.common.errors import PipelineError, TrackingError
from components.registry.history import CHALLENGER, CHAMPION, Entry, State, Version, derive

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MISSING, EXISTS, DENIED = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "PERMISSION_DENIED"
CONFLICTS = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "BAD_REQUEST")
"""What MLflow 3.17 answers if its database refuses a write because of another one at the same moment."""
ROUNDS = 50
"""Attempts to set the aliases, each after a new look at the history."""
WEIGHTS_TAG, FILE_TAG, DATA_TAG, TASK_TAG = "weights_digest", "model_sha256", "data_version", "task"
"""Tags of a version: its weights, its `.keras` file, its data, and a digest of its image size and classes."""
GATE_TAG, COMPARISON_TAG, SENTENCE_TAG = "gate", "comparison", "verdict"
"""Tags of a version: the gate's verdict; the comparison with the champion of then (JSON); both in words."""
CARD_FOLDER, CARD_TAG = "card", "card"
"""Where the model card is among the version's artifacts, and the tag with its digest."""
WITHDRAWN_TAG = "withdrawn"
"""Tag of a version that a person has withdrawn, should the history be deleted."""
LOST_TAG = "files_lost"
"""Tag of a version whose files are gone: its weights are registered again as another version."""


@dataclass(frozen=True)
class Snapshot:
    """A look at the registry: the versions by number, the aliases that they have, and what follows."""

    versions: dict[int, ModelVersion]
    aliases: dict[str, int]
    state: State

    def after(self, entry: Entry) -> State:
        """What would follow if this entry were added to the history."""
        entry = replace(entry, after=self.state.head, number=self.state.head + 1)
        return derive(_decisive(self.versions.values()), [*self.state.entries, entry])


class Registry:
    """A registered model, and its history: a registered model whose name ends with `.history`.

    Args:
        client: Client of the server; the tracking URI is set already.
        name: The registered model.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        self.client, self.name, self.history = client, name, f"{name}.history"

    def read(self) -> Snapshot:
        """Versions, aliases, and what follows from versions and history."""
        # The history first: the versions that it names are then among the versions, unless they were deleted.
        entries = [_entry(version) for version in self._search(self.history)]
        found = self._search(self.name)
        aliases: dict[str, int] = {}
        with ignoring(MISSING):
            model = self.client.get_registered_model(self.name)
            aliases = {alias: int(number) for alias, number in model.aliases.items()}
        state = derive(_decisive(found), entries, aliases.get(CHAMPION))
        return Snapshot({int(v.version): v for v in found}, aliases, state)

    def add(self, entry: Entry) -> bool:
        """Adds an entry to the history, and returns whether it counts.

        It does not if another process added one since the state was read whose head is `entry.after`.
        """
        entry = replace(entry, key=uuid.uuid4().hex)  # an answer may be lost, and the call repeated
        content = {name: str(value) for name, value in asdict(entry).items() if value}
        change = f"champion: version {entry.champion or 'none'}, before: {entry.previous or 'none'}"
        for attempt in _attempts():
            with attempt:
                self.create(self.history)
                self.client.create_model_version(
                    self.history,
                    f"models:/{self.name}/{entry.champion or entry.withdrawn}",
                    tags=content,
                    description=f"{change}. {entry.reason}"[:5000],
                )
        return entry.key in [counted.key for counted in self.read().state.entries]

    def reconcile(self) -> State:
        """Sets the aliases to what follows from versions and history, and returns that state.

        Whoever has changed anything calls this: the last writer has then seen all that was written. What a
        killed process leaves is repaired by the next call.

        Raises:
            TrackingError: Another process keeps setting other aliases.
        """
        for _ in range(ROUNDS):
            now = self.read()
            with ignoring(DENIED):  # somebody who may will keep it
                if self._keep_fallback(now):
                    continue
            wanted = now.state.aliases
            wrong = [name for name in (CHAMPION, CHALLENGER) if now.aliases.get(name) != wanted.get(name)]
            if not wrong:
                return now.state
            for alias in wrong:
                with ignoring(MISSING):  # the version was deleted meanwhile
                    self._set_alias(alias, wanted.get(alias))
        raise TrackingError(
            f"another process keeps changing the aliases of {self.name}",
            "find and stop it, then run the same command again",
            "find and stop it, then submit the run again",
        )

    def _keep_fallback(self, now: Snapshot) -> bool:
        """Adds an entry if the champion of the last one was deleted; returns whether it tried."""
        entries, champion = now.state.entries, now.state.champion
        if not entries or not champion or entries[-1].champion == champion:
            return False
        last, weights = entries[-1], now.versions[champion].tags[WEIGHTS_TAG]
        reason = f"version {last.champion} does not exist any more"
        self.add(Entry(now.state.head, champion, weights, last.champion, "reconcile", reason, "reconcile"))
        return True

    def create(self, name: str) -> None:
        """Creates a registered model unless it exists."""
        with ignoring(EXISTS):
            self.client.create_registered_model(name)

    def create_version(self, source: str, run_id: str, model_id: str, tags: dict[str, str]) -> ModelVersion:
        """Registers a logged model as a version."""
        for attempt in _attempts():
            with attempt:
                self.create(self.name)
                made = self.client.create_model_version(
                    self.name, source, run_id, tags=tags, model_id=model_id
                )
        return made

    def delete(self, version: ModelVersion) -> None:
        """Deletes a version unless another process has."""
        with ignoring(MISSING):
            self.client.delete_model_version(self.name, version.version)

    def set_tags(self, version: ModelVersion, tags: dict[str, str]) -> None:
        """Sets the tags of a version that it lacks or has with another value."""
        for name, value in tags.items():
            if version.tags.get(name) != value:
                for attempt in _attempts():
                    with attempt:
                        self.client.set_model_version_tag(self.name, version.version, name, value)

    def _set_alias(self, alias: str, number: int | None) -> None:
        for attempt in _attempts():
            with attempt:
                if number:
                    self.client.set_registered_model_alias(self.name, alias, str(number))
                else:
                    self.client.delete_registered_model_alias(self.name, alias)

    def _search(self, name: str) -> list[ModelVersion]:
        found: list[ModelVersion] = []
        token = None
        while True:
            page = self.client.search_model_versions(f"name = '{name}'", page_token=token)
            found += page
            token = page.token
            if not token:
                return sorted(found, key=lambda version: int(version.version))


def weights_of(version: ModelVersion) -> str:
    """The digest of a version's weights.

    Raises:
        PipelineError: This project did not register it.
    """
    if WEIGHTS_TAG not in version.tags:
        raise PipelineError(
            f"version {version.version} has no tag {WEIGHTS_TAG}: this pipeline did not register it",
            "take a version that a run registered; `fashion models` lists them",
        )
    return str(version.tags[WEIGHTS_TAG])


def _decisive(versions: Iterable[ModelVersion]) -> list[Version]:
    """What decides about the champion, of each version that has its files."""
    return [
        Version(
            int(v.version),
            v.tags.get(WEIGHTS_TAG, ""),
            v.tags.get(GATE_TAG) == "passed",
            v.tags.get(WITHDRAWN_TAG) == "true",
        )
        for v in versions
        if LOST_TAG not in v.tags
    ]


def _entry(version: ModelVersion) -> Entry:
    types = {field.name: field.type for field in fields(Entry)}
    content = {
        name: int(value) if types[name] == "int" else value
        for name, value in version.tags.items()
        if name in types
    }
    empty = {name: 0 if kind == "int" else "" for name, kind in types.items()}
    return Entry(**empty | content | {"number": int(version.version), "time": version.creation_timestamp})


def _attempts() -> Retrying:
    """Repeats a write that the server's database refused because of another one at the same moment."""
    return Retrying(
        retry=retry_if_exception(lambda error: getattr(error, "error_code", None) in CONFLICTS),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        stop=stop_after_attempt(10),
        reraise=True,
    )


@contextmanager
def ignoring(code: str) -> Iterator[None]:
    """Ignores MLflow's error with this code."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise
