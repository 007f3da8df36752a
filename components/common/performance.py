"""Measured times of a step. They differ from run to run, so DVC does not track their file."""

import json
from pathlib import Path
from typing import Any

from components.common.files import write_json

FILE = "performance.json"


def write_performance(folder: Path, weights_digest: str, figures: dict[str, Any]) -> None:
    """Writes measurements of the model with this weights digest."""
    write_json(folder / FILE, {"weights_digest": weights_digest, **figures})


def read_performance(folder: Path, weights_digest: str) -> dict[str, Any]:
    """The measurements of the model with this digest; empty if the file is missing or of another model."""
    try:
        figures: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return figures if figures.pop("weights_digest", "") == weights_digest else {}
