"""Measured times of a step. They differ from run to run, so they are in a file that DVC does not track."""

import json
from pathlib import Path
from typing import Any

from components.common.files import write_json

FILE = "performance.json"


def write_performance(folder: Path, weights_digest: str, figures: dict[str, Any]) -> None:
    """Writes what was measured with the model of these weights."""
    write_json(folder / FILE, {"weights_digest": weights_digest, **figures})


def read_performance(folder: Path, weights_digest: str) -> dict[str, Any]:
    """What was measured with the model of these weights; empty if the file is missing or of another model."""
    try:
        figures: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return figures if figures.pop("weights_digest", "") == weights_digest else {}
