"""Processes that work on one registry at the same time, in a given order of their calls."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Semaphore, Thread
from typing import Any

from mlflow.exceptions import MlflowException

from tests.support.registry_model import RegistryModel

CALLS = (1, 2, 5, 30)
"""How many calls a process makes in a turn, by the two highest bits of the turn."""


@dataclass(frozen=True)
class Fate:
    """What happens to a process.

    Args:
        killed: It is killed instead of its call of this number (0 for the first), if it makes so many.
        resent: The answer to its call of this number is lost, and MLflow's client sends the call again.
    """

    killed: int | None = None
    resent: int | None = None


class _Killed(BaseException):
    """Ends a process."""


class Process(Thread):
    """A process that stops before each call of the registry, until `go_on`.

    Args:
        server: The registry.
        action: What it does with its client of the registry.
        fate: What happens to it.
    """

    def __init__(self, server: RegistryModel, action: Callable[[Any], object], fate: Fate) -> None:
        super().__init__(daemon=True)
        self.server, self.action, self.fate = server, action, fate
        self.resumed, self.stopped = Semaphore(0), Semaphore(0)
        self.calls = 0
        self.ended = False
        self.error: Exception | None = None

    def run(self) -> None:
        self.resumed.acquire()
        with suppress(_Killed):
            try:
                self.action(_Client(self))
            except Exception as error:
                self.error = error
        self.ended = True
        self.stopped.release()

    def go_on(self) -> None:
        """Lets it make its next call; returns when it stops before another one, or has ended."""
        self.resumed.release()
        self.stopped.acquire()

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """A call of the registry."""
        method = getattr(self.server, name)
        number, self.calls = self.calls, self.calls + 1
        self._stop()
        if number == self.fate.killed:
            raise _Killed
        if number == self.fate.resent:
            with suppress(MlflowException):
                method(*arguments, **options)
            self._stop()
        return method(*arguments, **options)

    def _stop(self) -> None:
        self.stopped.release()
        self.resumed.acquire()


class _Client:
    """A process's client of the registry."""

    tracking_uri = None

    def __init__(self, process: Process) -> None:
        self._process = process

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **options: self._process.call(name, *arguments, **options)


def interleave(
    processes: Sequence[Process], schedule: bytes, after_each: Callable[[], None] = lambda: None
) -> None:
    """Runs the processes until all have ended.

    Args:
        processes: The processes.
        schedule: A byte for each turn: which process makes how many calls. When the turns are used up,
            the processes run one after the other.
        after_each: Called after each turn.
    """
    for process in processes:
        process.start()
    turns = iter(schedule)
    while running := [process for process in processes if not process.ended]:
        turn = next(turns, 255 // len(running) * len(running))
        process = running[turn % len(running)]
        for _ in range(CALLS[turn // 64]):
            if not process.ended:
                process.go_on()
        after_each()
