"""What the registry says of the last model, as opposed to what it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.common.files import read_json
from pipeline.project import Project

if TYPE_CHECKING:
    from pipeline.tracking.runs import Tracker


def last_model(project: Project, tracker: Tracker, name: str) -> str | None:
    """The last model's version with its aliases, as the registry has them now.

    Args:
        project: The project, whose steps have run.
        tracker: Its store of runs.
        name: The registered model.

    Returns:
        `fashion-mnist version 1, champion`, or `not registered` for a rejected model; None when the
        registry lacks the run, the version, or any champion.

    Raises:
        PipelineError: The pipeline has not run yet.
        TrackingError: The registry cannot be asked.
    """
    from components.register.champion import CHAMPION
    from components.register.step import find_version
    from pipeline.tracking.experiment import refusals

    training = read_json(project.out("train") / "training.json", "train")
    gate = read_json(project.out("gate") / "gate.json", "gate")
    with refusals():
        if tracker.find(training) is None:
            return None
        if gate["verdict"] != "passed":
            return "not registered"
        found = find_version(tracker.client, name, training["weights_digest"])
        aliases = tracker.client.get_registered_model(name).aliases if found else {}
    if found is None or CHAMPION not in aliases:
        return None
    ours = sorted(alias for alias, version in aliases.items() if int(version) == int(found.version))
    return f"{name} version {found.version}, {' and '.join(ours) or 'without an alias'}"
