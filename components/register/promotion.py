"""Makes a registered version champion, if it beats the one that is champion at this moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.registry.history import Entry
from components.registry.registry import DENIED, SENTENCE_TAG, WEIGHTS_TAG, Registry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

Comparison = dict[str, Any]


def promote(
    registry: Registry,
    version: ModelVersion,
    compare: Callable[[ModelVersion], tuple[Comparison, str]],
    first: str,
    by: str,
) -> tuple[Comparison | None, str]:
    """Makes a version that passed the gate champion, unless it was withdrawn or does not beat the champion.

    If another process changes the champion at the same moment, the version is compared with the new one.

    Args:
        registry: The registered model.
        version: The version.
        compare: Compares with a version; returns the comparison (see `compare_with`) and its sentence.
        first: The reason if there is no champion.
        by: The user.

    Returns:
        The comparison with the champion, if there was one, and the reason in a sentence.
    """
    from mlflow.exceptions import MlflowException

    number = int(version.version)
    comparison: Comparison | None = None
    while True:
        now = registry.read()
        champion = now.state.champion
        if champion == number:
            return comparison, now.versions[number].tags.get(SENTENCE_TAG, "it is the champion already")
        if number in now.state.withdrawn:
            return None, f"it was withdrawn: `fashion promote {number} --reason …` makes it champion again"
        reason = first
        if champion:
            comparison, reason = compare(now.versions[champion])
            if not comparison["beats"]:
                return comparison, reason
        entry = Entry(
            after=now.state.head,
            champion=number,
            champion_digest=version.tags[WEIGHTS_TAG],
            previous=champion or 0,
            previous_digest=now.versions[champion].tags.get(WEIGHTS_TAG, "") if champion else "",
            action="register",
            reason=reason,
            by=by,
        )
        try:
            counts = registry.add(entry)
        except MlflowException as error:
            if error.error_code != DENIED:
                raise
            return comparison, (
                f"{reason}; it stays challenger, since {by} may not write to {registry.history}: "
                f"`fashion promote {number} --reason …`, by somebody who may, makes it champion"
            )
        if counts:
            return comparison, reason
