"""Who is champion: a function of the versions, and of a history to which entries are only ever added.

MLflow sets an alias without looking at what it was, so two writers can each undo what the other has done. But
it numbers the versions of a registered model one by one, and never gives a number twice. So the history is a
registered model of its own, with a version for each entry, and the server puts the entries into an order. An
entry names the last one that its writer had seen: if another came between, it does not count, and its writer
decides again. The aliases follow from the history; see `registry.Registry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Version:
    """A version of the registered model.

    Args:
        number: Its number.
        weights_digest: Digest of its weights; empty if this project did not register it.
        passed: Whether it passed the gate.
        withdrawn: Whether it is tagged as withdrawn. It counts only if the history was deleted.
    """

    number: int
    weights_digest: str
    passed: bool
    withdrawn: bool = False


@dataclass(frozen=True)
class Entry:
    """A change of champion. A version is named by its number and its weights.

    Args:
        after: Number of the last entry that counted when this one was written, 0 if there was none.
        champion: The version that becomes champion, 0 for none.
        champion_digest: Digest of its weights.
        previous: The version that was champion, 0 for none.
        previous_digest: Digest of its weights.
        withdrawn: The version that is withdrawn, 0 for none. Only a person makes it champion again.
        withdrawn_digest: Digest of its weights.
        action: `register`, `promote`, `rollback`, or `reconcile` (the champion was deleted).
        reason: Why, in a sentence.
        by: The user.
        key: Its writer's own name for it.
        number: Its own number, given by the server.
        time: When the server took it, milliseconds since 1970.
    """

    after: int
    champion: int
    champion_digest: str
    previous: int
    action: str
    reason: str
    by: str
    withdrawn: int = 0
    withdrawn_digest: str = ""
    previous_digest: str = ""
    key: str = ""
    number: int = 0
    time: int = 0


@dataclass(frozen=True)
class State:
    """What follows from versions and history.

    Args:
        head: Number of the last entry that counts.
        champion: The champion, None if there is none.
        challenger: The newest version after the champion that passed the gate and was not withdrawn.
        withdrawn: The versions that were withdrawn.
        entries: The entries that count, the oldest first.
        champions: The versions that were champion and may be again, the last one at the end.
    """

    head: int
    champion: int | None
    challenger: int | None
    withdrawn: frozenset[int]
    entries: tuple[Entry, ...]
    champions: tuple[int, ...] = ()

    @property
    def aliases(self) -> dict[str, int]:
        """The aliases that the registered model should have."""
        wanted = {CHAMPION: self.champion, CHALLENGER: self.challenger}
        return {alias: number for alias, number in wanted.items() if number}


def derive(versions: Sequence[Version], entries: Sequence[Entry], alias: int | None = None) -> State:
    """The champion and the challenger.

    The champion is the last one in the history that exists and was not withdrawn. Weights that are
    registered again after their version was deleted are another version, which has to beat the champion; but
    weights that were withdrawn stay withdrawn.

    Args:
        versions: The versions that exist.
        entries: The history, in any order, with entries that do not count.
        alias: The version that has the alias `champion`. It counts only if there is no history: then it was
            set before there was one.
    """
    counted = counting(entries)
    withdrawn: set[str] = set()
    for entry in counted:
        withdrawn |= {entry.withdrawn_digest} - {""}
        withdrawn.discard(entry.champion_digest)
    if not counted:
        withdrawn = {version.weights_digest for version in versions if version.withdrawn}
    eligible = [version for version in versions if version.weights_digest not in withdrawn]
    # Of two versions with the same weights, made at the same moment, the older one stays; see `drop_copies`.
    oldest = {v.weights_digest: v.number for v in sorted(eligible, key=lambda v: -v.number)}
    if counted:  # whoever was champion before the first entry has none of its own
        named = [(counted[0].previous, counted[0].previous_digest)]
        named += [(entry.champion, entry.champion_digest) for entry in counted]
        past = [oldest[digest] for number, digest in named if oldest.get(digest, number + 1) <= number]
    else:
        past = [version.number for version in eligible if version.number == alias]
    champion = past[-1] if past else None
    only = [v for v in eligible if v.number == oldest[v.weights_digest]]
    later = [v.number for v in only if v.passed and v.number > (champion or 0)]
    return State(
        head=counted[-1].number if counted else 0,
        champion=champion,
        challenger=max(later, default=None),
        withdrawn=frozenset(v.number for v in versions if v.weights_digest in withdrawn),
        entries=tuple(counted),
        champions=tuple(past),
    )


def counting(entries: Sequence[Entry]) -> list[Entry]:
    """The entries that count, by number: each was written after the one before it.

    An entry that somebody has deleted counted if another was written after it.
    """
    present = {entry.number: entry for entry in entries}
    head, counted = 0, []
    for number in sorted(present.keys() | {entry.after for entry in entries} - {0}):
        entry = present.get(number)
        if entry is None or entry.after == head:
            head = number
            counted += [entry] if entry else []
    return counted
