"""KFP's local runner says much; a person wants to know which step runs, and what the step says."""

from __future__ import annotations

import io
import re
from typing import TextIO

TELLING = (
    (re.compile(r"Executing task '(.+)'$"), "{} ..."),
    (re.compile(r"Task (\S+) cache hit"), "{}: from cache"),
    (re.compile(r"Task (\S+) failed \(attempt"), "{} failed, and is tried again"),
)
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
OWN = " " * 4
"""How far KFP indents what a step says."""


class Narrator(io.TextIOBase):
    """Passes on what the steps say, and of KFP what tells how far it is.

    Args:
        screen: Receives that.
        log: Receives everything.
    """

    def __init__(self, screen: TextIO, log: TextIO) -> None:
        self.screen, self.log = screen, log
        self.rest, self.streamed, self.hidden = "", False, ""

    def write(self, text: str) -> int:
        """Takes a piece of output."""
        self.log.write(text)
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            told = self._told(COLOURS.sub("", line))
            if told is not None:
                self.screen.write(told + "\n")
        return len(text)

    def flush(self) -> None:
        """Passes on what is written so far."""
        self.log.flush()
        self.screen.flush()

    def _told(self, line: str) -> str | None:
        for pattern, words in TELLING:
            if found := pattern.search(line):
                return words.format(found[1])
        if not line.startswith(OWN):
            if line.strip():
                self.streamed = "Streamed logs" in line
            return None
        said = line.lstrip()
        if said == "{":  # what KFP hands to the step, until the brace that closes it
            self.hidden = line[: -len(said)] + "}"
        if not self.streamed or self.hidden or not said or said.startswith("[KFP Executor"):
            self.hidden = "" if line == self.hidden else self.hidden
            return None
        return OWN + said
