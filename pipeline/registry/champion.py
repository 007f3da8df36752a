"""The champion of a project's registry, ready to predict: what every consumer loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from components.registry.model import LoadedModel, champion_version, load_version
from pipeline.params import Params
from pipeline.registry.versions import find_number, open_registry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from components.registry.registry import Registry


def find_version(root: Path, name: str, number: int | None) -> tuple[Registry, ModelVersion]:
    """The registry, and the champion of a registered model in it, or the version with a number.

    Raises:
        PipelineError: There is no champion, or no such version.
        TrackingError: The registry cannot be reached.
    """
    registry = open_registry(root, name)
    version = find_number(registry.read(), name, number) if number else champion_version(registry)
    return registry, version


def load_champion(root: Path, params: Params, number: int | None = None) -> LoadedModel:
    """Loads the champion of the registered model in `params`, or the version with a number.

    Raises:
        PipelineError: There is no champion or no such version, or its model cannot be loaded.
        TrackingError: The registry cannot be reached.
    """
    registry, version = find_version(root, params.register_.model_name, number)
    return load_version(registry.client, version, params.data.classes)
