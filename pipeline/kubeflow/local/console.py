"""KFP's local runner says much; a person wants to know which step runs, and what the step says."""

from __future__ import annotations

import io
import logging
import re
import threading
from dataclasses import dataclass, field
from typing import TextIO

BEGUN = re.compile(r"Executing task '(.+)'$")
DONE = re.compile(r"Task '(.+)' finished with status SUCCESS$")
HIT = re.compile(r"Task (\S+) cache hit")
STREAMED = "Streamed logs:"
"""KFP's last words before a step's own."""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
OWN = " " * 4
"""How far a step's words are indented."""


@dataclass(frozen=True)
class Tasks:
    """What KFP did, one name per task: a sweep's trainings are all `train`.

    Args:
        hits: Taken from the cache.
        begun: Executed, whatever came of it.
        done: Executed, and well.
    """

    hits: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


class _Thread(threading.local):
    """How far the output of one thread is: KFP runs a sweep's trainings in threads, and indents at random."""

    rest = ""
    streamed = False
    hiding = False
    depth = 0


class Console(io.TextIOBase):
    """Passes on what the steps say, and of KFP what tells how far it is.

    It stands for stdout and stderr, and its `heed` is a filter of the root logger. The log's text would not
    do: KFP replaces the logger's handlers in each thread, so that a line may be lost or come twice.

    Args:
        screen: Receives that.
        log: Receives everything.
    """

    def __init__(self, screen: TextIO, log: TextIO) -> None:
        self.screen, self.log = screen, log
        self.tasks = Tasks()
        self.mine = _Thread()

    def heed(self, record: logging.LogRecord) -> bool:
        """Takes what KFP logs, and lets it pass."""
        message, mine = COLOURS.sub("", record.getMessage()), self.mine
        mine.streamed, mine.hiding, mine.depth = message.startswith(STREAMED), False, 0
        if found := BEGUN.match(message):
            self.tasks.begun.append(found[1])
            self.screen.write(f"{found[1]} ...\n")
        elif found := HIT.match(message):
            self.tasks.hits.append(found[1])
            self.screen.write(f"{found[1]}: from cache\n")
        elif found := DONE.match(message):
            self.tasks.done.append(found[1])
        return True

    def write(self, text: str) -> int:
        """Takes a piece of output."""
        *lines, self.mine.rest = (self.mine.rest + text).split("\n")
        for line in lines:
            self.log.write(line + "\n")
            said = COLOURS.sub("", line).strip()
            if self._is_the_steps(said):
                self.screen.write(f"{OWN}{said}\n")
        return len(text)

    def flush(self) -> None:
        """Passes on what is written so far."""
        self.log.flush()
        self.screen.flush()

    def _is_the_steps(self, said: str) -> bool:
        mine = self.mine
        if not mine.streamed or not said or said.endswith(STREAMED):
            return False
        if said.startswith("[KFP Executor"):
            mine.hiding, mine.depth = said.endswith("Got executor_input:"), 0
            return False
        if mine.hiding:  # JSON that KFP hands to the step, one brace a line; its indent may change midway
            mine.depth += said.endswith(("{", "[")) - said.startswith(("}", "]"))
            mine.hiding = mine.depth > 0
            return False
        return True
