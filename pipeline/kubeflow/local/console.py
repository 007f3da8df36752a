"""The console output of KFP's local runner, reduced to which step runs and what the step prints."""

from __future__ import annotations

import io
import logging
import re
import threading
from dataclasses import dataclass, field
from typing import TextIO

STARTED = re.compile(r"Executing task '(.+)'$")
SUCCEEDED = re.compile(r"Task '(.+)' finished with status SUCCESS$")
CACHE_HIT = re.compile(r"Task (\S+) cache hit")
STREAMED = "Streamed logs:"
"""The last message of KFP before the output of a step."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Tasks:
    """The names of the tasks that KFP handled, once for each task: a sweep's trainings are all `train`.

    Args:
        cached: Taken from the cache.
        started: Executed, whether they succeeded or not.
        succeeded: Executed with success.
    """

    cached: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    succeeded: list[str] = field(default_factory=list)


class _ThreadState(threading.local):
    """What the output of one thread is: KFP runs a sweep's trainings in threads, and indents at random."""

    rest = ""
    in_step = False
    in_json = False
    depth = 0


class Console(io.TextIOBase):
    """Stands in for stdout and stderr, with `filter_record` as a filter of the root logger.

    Messages are taken from the log records, not from what the handlers write: KFP replaces the logger's
    handlers in each thread, so that a line may be lost or come twice.

    Args:
        screen: Receives the output of the steps, and a line for each task.
        log: Receives all output.
    """

    def __init__(self, screen: TextIO, log: TextIO) -> None:
        self.screen, self.log = screen, log
        self.tasks = Tasks()
        self._thread = _ThreadState()

    def filter_record(self, record: logging.LogRecord) -> bool:
        """Notes which task a record of KFP's log is about. Filters nothing out."""
        message, thread = COLOURS.sub("", record.getMessage()), self._thread
        thread.in_step, thread.in_json, thread.depth = message.startswith(STREAMED), False, 0
        if found := STARTED.match(message):
            self.tasks.started.append(found[1])
            self.screen.write(f"{found[1]} ...\n")
        elif found := CACHE_HIT.match(message):
            self.tasks.cached.append(found[1])
            self.screen.write(f"{found[1]}: from cache\n")
        elif found := SUCCEEDED.match(message):
            self.tasks.succeeded.append(found[1])
        return True

    def write(self, text: str) -> int:
        """Writes whole lines to the log, and those of a step to the screen."""
        *lines, self._thread.rest = (self._thread.rest + text).split("\n")
        for line in lines:
            self.log.write(line + "\n")
            plain = COLOURS.sub("", line).strip()
            if self._is_from_step(plain):
                self.screen.write(f"    {plain}\n")
        return len(text)

    def flush(self) -> None:
        """Flushes both receivers."""
        self.log.flush()
        self.screen.flush()

    def _is_from_step(self, line: str) -> bool:
        thread = self._thread
        if not thread.in_step or not line or line.endswith(STREAMED):
            return False
        if line.startswith("[KFP Executor"):
            thread.in_json, thread.depth = line.endswith("Got executor_input:"), 0
            return False
        if thread.in_json:  # KFP's input of the step, one brace a line; its indent may change midway
            thread.depth += line.endswith(("{", "[")) - line.startswith(("}", "]"))
            thread.in_json = thread.depth > 0
            return False
        return True
