"""The status of each step of a pipeline run: kept in object storage, since KFP's API does not give a reason.

The exit handler and whoever waits for the run read there why a step failed, and what to do about it.
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
"""The reason of a step whose status is still `running` when the run has ended."""


@dataclass(frozen=True)
class StepStatus:
    """The status of one step.

    Args:
        step: Name of the step; of a sweep's trainings with the candidate.
        started: Start time, seconds since 1970.
        state: Stays `running` when the step was killed.
        seconds: Duration.
        line: The step's result.
        error: What was wrong.
        hint: What to do about it.
        final: Whether a retry would fail for the same reason.
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
    """The statuses of the pipeline run that this process is a step of."""

    def __init__(self) -> None:
        """Opens the storage.

        Raises:
            PipelineError: The environment does not name the storage or the run.
        """
        missing = [name for name in (STATE_URL, RUN_ID) if not os.environ.get(name)]
        if missing:
            raise PipelineError(
                f"{' and '.join(missing)} not set", "the ConfigMap fashion-config must name the state storage"
            )
        self.storage = open_storage(os.environ[STATE_URL])
        self.folder = f"runs/{os.environ[RUN_ID]}"

    def read(self, step: str) -> StepStatus | None:
        """The status of a step, as an earlier attempt may have left it."""
        content = self.storage.read(self._name(step))
        return StepStatus(**json.loads(content)) if content else None

    def write(self, status: StepStatus) -> None:
        """Stores a status. The step goes on when the storage fails."""
        try:
            self.storage.write(self._name(status.step), json.dumps(asdict(status)).encode())
        except StorageError as error:
            print(f"the status of this step is not stored: {error}")

    def close(self, status: StepStatus, **changes: object) -> None:
        """Stores the final status of a step."""
        seconds = round(time.time() - status.started, 1)
        self.write(replace(status, seconds=seconds, **changes))  # type: ignore[arg-type]

    def _name(self, step: str) -> str:
        word, _, candidate = step.partition(" ")
        suffix = f"-{content_key(candidate)[:12]}" if candidate else ""
        return f"{self.folder}/{word}{suffix}.json"


def read_statuses(location: str, run_id: str) -> dict[str, StepStatus]:
    """The statuses of a pipeline run by step, in the order in which the steps began.

    Raises:
        StorageError: The storage cannot be read.
    """
    storage = open_storage(location)
    return statuses_in(storage, storage.names(f"runs/{run_id}/"))


def statuses_in(storage: Storage, names: Iterable[str]) -> dict[str, StepStatus]:
    """The statuses stored under these names, by step; names without an object are left out.

    Raises:
        StorageError: The storage cannot be read.
    """
    contents = (storage.read(name) for name in names)
    statuses = [StepStatus(**json.loads(content)) for content in contents if content]
    return {status.step: status for status in sorted(statuses, key=lambda status: status.started)}
