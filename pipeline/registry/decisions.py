"""What people decide: another champion, or the one before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from components.registry.history import Entry
from components.registry.predictions import has_files
from components.registry.registry import (
    GATE_TAG,
    SENTENCE_TAG,
    WEIGHTS_TAG,
    WITHDRAWN_TAG,
    Registry,
    Snapshot,
    weights_of,
)
from pipeline.registry.versions import find_number

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Change:
    """A change of champion: version numbers, 0 for none."""

    before: int
    after: int
    withdrawn: int = 0

    @property
    def text(self) -> str:
        """The change in words."""
        if self.before == self.after:
            return f"version {self.after} is champion already"
        text = f"champion: version {self.before or 'none'} -> version {self.after or 'none'}"
        return text + (f"; version {self.withdrawn} is withdrawn" if self.withdrawn else "")


def promote(registry: Registry, number: int, reason: str, by: str, force: bool = False) -> Change:
    """Makes a version champion, whatever the comparison says. A version that was withdrawn is so no more.

    Raises:
        PipelineError: There is no such version, its files are gone, it did not pass the gate (unless
            `force`), or somebody else has changed the champion at the same moment.
    """
    now = registry.read()
    version = find_number(now, registry.name, number)
    before = now.state.champion or 0
    if before == number:
        registry.reconcile()
        return Change(before, number)
    if version.tags.get(GATE_TAG) != "passed" and not force:
        raise PipelineError(
            f"version {number} did not pass the gate: {version.tags.get(SENTENCE_TAG, 'it has no verdict')}",
            "`--force` makes it champion all the same, and the history says so",
        )
    _check_files(registry, version)
    action = "promote --force" if force else "promote"
    return _change(registry, now, Change(before, number), action, reason, by)


def rollback(
    registry: Registry, reason: str, by: str, to: int | None = None, dry_run: bool = False
) -> Change:
    """Withdraws the champion, and makes the one before it champion again.

    Args:
        registry: The registered model.
        reason: Why.
        by: The user.
        to: An earlier champion, if not the last one before this.
        dry_run: Change nothing.

    Raises:
        PipelineError: There is no champion, no earlier one, or `to` is none; or somebody else has changed the
            champion at the same moment.
    """
    now = registry.read()
    champion = now.state.champion
    if champion is None:
        raise PipelineError(
            f"{registry.name} has no champion",
            "`fashion promote VERSION --reason …` makes a version champion",
        )
    earlier = now.after(_entry(now, Change(champion, 0, champion), "rollback", reason, by)).champion
    if to is not None:
        find_number(now, registry.name, to)
        past = set(now.state.champions) - {champion}
        if to not in past:
            raise PipelineError(
                f"version {to} is not an earlier champion that may come back; those are: "
                f"{', '.join(map(str, sorted(past))) or 'none'}",
                f"`fashion promote {to} --reason …` makes any version champion",
            )
        earlier = to
    if earlier is None:
        raise PipelineError(
            f"no champion before version {champion} may come back",
            "`fashion promote VERSION --reason …` makes another version champion",
        )
    _check_files(registry, now.versions[earlier])
    change = Change(champion, earlier, champion)
    return change if dry_run else _change(registry, now, change, "rollback", reason, by)


def _change(registry: Registry, now: Snapshot, change: Change, action: str, reason: str, by: str) -> Change:
    counts = registry.add(_entry(now, change, action, reason, by))
    if counts:
        registry.set_tags(now.versions[change.after], {WITHDRAWN_TAG: "false"})
        if change.withdrawn:
            registry.set_tags(now.versions[change.withdrawn], {WITHDRAWN_TAG: "true"})
    registry.reconcile()
    if not counts:
        raise PipelineError(
            "somebody else has changed the champion at this moment: nothing was changed by this command",
            "look at `fashion models history`, then run it again if it is still right",
        )
    return change


def _entry(now: Snapshot, change: Change, action: str, reason: str, by: str) -> Entry:
    return Entry(
        after=now.state.head,
        champion=change.after,
        champion_digest=_digest(now, change.after),
        previous=change.before,
        action=action,
        reason=reason,
        by=by,
        withdrawn=change.withdrawn,
        withdrawn_digest=_digest(now, change.withdrawn),
        # A champion from before the history may be one that this pipeline did not register.
        previous_digest=now.versions[change.before].tags.get(WEIGHTS_TAG, "") if change.before else "",
    )


def _digest(now: Snapshot, number: int) -> str:
    return weights_of(now.versions[number]) if number else ""


def _check_files(registry: Registry, version: ModelVersion) -> None:
    if not has_files(registry.client, version):
        raise PipelineError(
            f"the files of version {version.version} are gone", "name a version that has its files"
        )
