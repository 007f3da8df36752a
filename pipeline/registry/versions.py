"""The last trained model in the MLflow model registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.common.files import read_json
from components.register.step import find_version
from components.registry.history import CHAMPION
from pipeline.project import Project

if TYPE_CHECKING:
    from pipeline.tracking.runs import Tracker


def last_model(project: Project, tracker: Tracker, name: str) -> tuple[str, str] | None:
    """Looks the last trained model up among the versions of the registered model `name`.

    Returns:
        Its version with aliases and its model URI: `fashion-mnist version 1, champion` and
        `models:/fashion-mnist/1`. For a rejected model `not registered` and no URI. None when MLflow
        does not have the run or the version, or the registered model has no champion.

    Raises:
        PipelineError: The pipeline has not run yet.
        TrackingError: The registry cannot be reached.
    """
    from pipeline.tracking.experiment import refusals

    training = read_json(project.out("train") / "training.json", "train")
    gate = read_json(project.out("gate") / "gate.json", "gate")
    with refusals():
        if tracker.find(training) is None:
            return None
        if gate["verdict"] != "passed":
            return "not registered", ""
        version = find_version(tracker.client, name, training["weights_digest"])
        versions = tracker.client.get_registered_model(name).aliases if version else {}
    if version is None or CHAMPION not in versions:
        return None
    aliases = sorted(alias for alias, number in versions.items() if int(number) == int(version.version))
    label = f"{name} version {version.version}, {' and '.join(aliases) or 'without an alias'}"
    return label, f"models:/{name}/{version.version}"
