"""The champion of a project's registry, ready to predict: what every consumer loads."""

from __future__ import annotations

from pathlib import Path

from components.registry.model import LoadedModel, champion_version, load_version
from pipeline.params import Params
from pipeline.registry.versions import find_number, open_registry


def load_champion(root: Path, params: Params, number: int | None = None) -> LoadedModel:
    """Loads the champion of the registered model in `params`, or the version with a number.

    Raises:
        PipelineError: There is no champion or no such version, or its model cannot be loaded.
        TrackingError: The registry cannot be reached.
    """
    registry = open_registry(root, params.register_.model_name)
    version = find_number(registry.read(), registry.name, number) if number else champion_version(registry)
    return load_version(registry.client, version, params.data.classes)
