"""What each step of a pipeline run leaves behind: that it began, how it ended, and why.

KFP tells neither the exit handler nor the one who waits why a step failed; a note in the state storage does.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Literal

from components.common.errors import PipelineError, StorageError
from components.common.files import content_key
from components.common.storage import Storage, open_storage
from pipeline.kubeflow.runtime.environment import STATE_URL
from pipeline.tracking.store import RUN_ID

KILLED = "it was killed: out of memory, its time limit, or a lost node"
"""What a note says that was never closed."""


@dataclass(frozen=True)
class StepStatus:
    """How far a step came.

    Args:
        step: The step; of a sweep's trainings with the candidate.
        started: When it began, seconds since 1970.
        state: `running` for good where the step was killed.
        seconds: How long it took.
        line: Its result.
        error: What was wrong.
        hint: What to do about it.
        final: A retry would end the same way.
    """

    step: str
    started: float
    state: Literal["running", "done", "failed"] = "running"
    seconds: float = 0.0
    line: str = ""
    error: str = ""
    hint: str = ""
    final: bool = False


class StatusStore:
    """The notes of the pipeline run that this step belongs to."""

    def __init__(self) -> None:
        """Opens the storage.

        Raises:
            PipelineError: The environment does not name storage and run.
        """
        missing = [name for name in (STATE_URL, RUN_ID) if not os.environ.get(name)]
        if missing:
            raise PipelineError(
                f"{' and '.join(missing)} not set", "the ConfigMap fashion-config must name the state storage"
            )
        self.storage = open_storage(os.environ[STATE_URL])
        self.folder = f"runs/{os.environ[RUN_ID]}"

    def read(self, step: str) -> StepStatus | None:
        """The note of a step, which an earlier try may have left."""
        content = self.storage.read(self._name(step))
        return StepStatus(**json.loads(content)) if content else None

    def write(self, note: StepStatus) -> None:
        """Leaves a note. Storage that does not answer costs the note, not the step."""
        try:
            self.storage.write(self._name(note.step), json.dumps(asdict(note)).encode())
        except StorageError as error:
            print(f"no note of this step is kept: {error}")

    def close(self, note: StepStatus, **changes: object) -> None:
        """Leaves the last note of a step."""
        self.write(replace(note, seconds=round(time.time() - note.started, 1), **changes))  # type: ignore[arg-type]

    def _name(self, step: str) -> str:
        word, _, candidate = step.partition(" ")
        suffix = f"-{content_key(candidate)[:12]}" if candidate else ""
        return f"{self.folder}/{word}{suffix}.json"


def read_statuses(location: str, run_id: str) -> dict[str, StepStatus]:
    """The notes of a pipeline run by step, in the order in which the steps began.

    Raises:
        StorageError: The storage does not answer.
    """
    storage = open_storage(location)
    return statuses_in(storage, storage.names(f"runs/{run_id}/"))


def statuses_in(storage: Storage, names: Iterable[str]) -> dict[str, StepStatus]:
    """Notes by step, in the order in which the steps began.

    Args:
        storage: Where they are kept.
        names: Their names there; those that are not there are left out.

    Raises:
        StorageError: The storage does not answer.
    """
    contents = (storage.read(name) for name in names)
    notes = [StepStatus(**json.loads(content)) for content in contents if content]
    return {note.step: note for note in sorted(notes, key=lambda note: note.started)}
