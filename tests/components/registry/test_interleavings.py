"""Processes that change one registry at the same time, in orders that Hypothesis draws; some are killed.

RACES_EXAMPLES sets the number of examples of each test; `make races` tries more.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from components.register.promotion import Comparison, promote
from components.register.step import drop_copies, find_version
from components.registry.history import CHALLENGER, CHAMPION, Entry, Version, derive
from components.registry.predictions import MODEL_FILE
from components.registry.registry import GATE_TAG, MISSING, WEIGHTS_TAG, Registry, ignoring
from tests.support.interleaving import Fate, Process, interleave
from tests.support.registry_model import RegistryModel

NAME = "model"
FOLDER = Path(mkdtemp())
SOURCE = FOLDER.as_uri()
(FOLDER / MODEL_FILE).parent.mkdir()
(FOLDER / MODEL_FILE).touch()
"""A folder with files: they are those of each version."""

Action = Callable[[Registry], object]


class World:
    """A registry, and the processes that work on it.

    Args:
        accuracies: Accuracy of each model; its index is the digest of its weights.
        old: The model that was champion before there was a history, if any.
    """

    def __init__(self, accuracies: Sequence[int], old: int | None = None) -> None:
        self.accuracies = accuracies
        self.server = RegistryModel(page_size=100)
        self.registry = Registry(self.server, NAME)  # type: ignore[arg-type]
        self.processes: list[Process] = []
        self.digests = {0: ""}
        self.counted: list[Entry] = []
        if old is not None:
            _create(self.registry, old)
            self.server.set_registered_model_alias(NAME, CHAMPION, "1")

    def add(self, action: Action, fate: Fate) -> None:
        self.processes.append(Process(self.server, lambda client: action(Registry(client, NAME)), fate))

    def run(self, schedule: bytes) -> None:
        interleave(self.processes, schedule, self._look)

    def _look(self) -> None:
        """What counts in the history stays as it is and goes on to count."""
        now = self.registry.read()
        counted = list(now.state.entries)
        assert counted[: len(self.counted)] == self.counted
        self.counted = counted
        self.digests |= {number: version.tags[WEIGHTS_TAG] for number, version in now.versions.items()}

    def promoter(self, model: int) -> Action:
        """Registers a model and promotes it, as the register step does."""

        def compare(champion: ModelVersion) -> tuple[Comparison, str]:
            theirs = self.accuracies[int(champion.tags[WEIGHTS_TAG])]
            return {"beats": self.accuracies[model] > theirs}, "compared"

        def run(registry: Registry) -> None:
            found = find_version(registry.client, NAME, str(model))
            if found is None:
                made = _create(registry, model)
                found = find_version(registry.client, NAME, str(model)) or made
            drop_copies(registry, found)
            promote(registry, found, compare, "there is no champion", "robot")
            registry.reconcile()

        return run

    def check_history(self, previous_is_the_one_before: bool) -> None:
        """What a promoter made champion beat the champion of then, and was not withdrawn."""
        withdrawn: set[str] = set()
        for before, entry in zip([None, *self.counted], self.counted, strict=False):
            if entry.action == "register":
                assert entry.champion_digest not in withdrawn
                if entry.previous:
                    theirs = self.accuracies[int(self.digests[entry.previous])]
                    assert self.accuracies[int(entry.champion_digest)] > theirs
                if previous_is_the_one_before and before:
                    assert self.digests[entry.previous] == before.champion_digest
            withdrawn |= {entry.withdrawn_digest} - {""}
            withdrawn.discard(entry.champion_digest)


def _create(registry: Registry, model: int) -> ModelVersion:
    return registry.create_version(SOURCE, "", "", {WEIGHTS_TAG: str(model), GATE_TAG: "passed"})


def old_promoter(world: World, model: int) -> Action:
    """What promoters did before there was a history: they look, compare, and set the alias."""

    def run(registry: Registry) -> None:
        ours = _create(registry, model)
        aliases = registry.client.get_registered_model(NAME).aliases
        theirs = registry.read().versions[int(aliases[CHAMPION])].tags[WEIGHTS_TAG] if aliases else None
        if theirs is None or world.accuracies[model] > world.accuracies[int(theirs)]:
            registry.client.set_registered_model_alias(NAME, CHAMPION, ours.version)

    return run


def person(nth: int, *, roll_back: bool) -> Action:
    """Promotes a version whatever its accuracy, or withdraws the champion for the one before it."""

    def run(registry: Registry) -> None:
        while True:
            now = registry.read()
            champion = now.state.champion or 0
            digests = {0: ""} | {number: v.tags[WEIGHTS_TAG] for number, v in now.versions.items()}
            number = sorted(digests)[1:][nth % max(1, len(now.versions)) :][:1] or [0]
            entry = Entry(now.state.head, number[0], digests[number[0]], champion, "promote", "", "alice")
            if roll_back:
                entry = replace(entry, withdrawn=champion, withdrawn_digest=digests[champion])
                versions = [Version(n, digest, True) for n, digest in digests.items() if n]
                last = replace(entry, champion=0, champion_digest="", number=entry.after + 1)
                before = derive(versions, [*now.state.entries, last]).champion or 0
                entry = replace(entry, champion=before, champion_digest=digests[before], action="rollback")
            nothing = not champion if roll_back else entry.champion in (0, champion)
            if nothing or registry.add(entry):
                registry.reconcile()
                return

    return run


def meddler(nth: int, alias: str, *, deletes: bool) -> Action:
    """Deletes a version or an alias, or sets a wrong alias."""

    def run(registry: Registry) -> None:
        numbers = [*registry.read().versions, 0]
        number = str(numbers[nth % len(numbers)])
        with ignoring(MISSING):
            if deletes and number != "0":
                registry.client.delete_model_version(NAME, number)
            elif number != "0":
                registry.client.set_registered_model_alias(NAME, alias, number)
            else:
                registry.client.delete_registered_model_alias(NAME, alias)

    return run


EXAMPLES = settings(max_examples=int(os.environ.get("RACES_EXAMPLES", "500")), deadline=None)
SCHEDULES = st.binary(min_size=20, max_size=120)
ACCURACIES = st.lists(st.integers(0, 3), min_size=4, max_size=4)
MODEL = st.integers(0, 3)
CALL = st.none() | st.integers(0, 40)


@EXAMPLES
@given(ACCURACIES, st.lists(st.tuples(MODEL, CALL), min_size=2, max_size=4), SCHEDULES)
def test_promoters_make_the_best_one_champion(
    accuracies: list[int], promoters: list[tuple[int, int | None]], schedule: bytes
):
    world = World(accuracies)
    for model, resent in promoters:
        world.add(world.promoter(model), Fate(resent=resent))
    world.run(schedule)

    assert [process.error for process in world.processes] == [None] * len(promoters)
    models = {model for model, _ in promoters}
    now = world.registry.read()
    assert sorted(v.tags[WEIGHTS_TAG] for v in now.versions.values()) == sorted(map(str, models))
    assert now.aliases == now.state.aliases
    assert accuracies[int(world.digests[now.aliases[CHAMPION]])] == max(accuracies[m] for m in models)
    assert now.aliases.get(CHALLENGER) == max(
        (number for number in now.versions if number > now.aliases[CHAMPION]), default=None
    )
    world.check_history(previous_is_the_one_before=True)


PROMOTE = st.tuples(st.just("promoter"), MODEL)
PERSON = st.tuples(st.sampled_from(["promotes", "rolls back"]), MODEL)
MEDDLER = st.tuples(st.sampled_from(["sets champion", "sets challenger", "deletes"]), st.integers(0, 4))
FATE = st.builds(Fate, CALL, CALL)


@EXAMPLES
@given(
    ACCURACIES,
    st.none() | MODEL,
    st.lists(st.tuples(PROMOTE, FATE), min_size=1, max_size=3),
    st.lists(st.tuples(PERSON | MEDDLER, FATE), min_size=1, max_size=3),
    SCHEDULES,
)
def test_whatever_happens_the_champion_follows_from_the_history(
    accuracies: list[int],
    old: int | None,
    promoters: list[tuple[tuple[str, int], Fate]],
    others: list[tuple[tuple[str, int], Fate]],
    schedule: bytes,
):
    world = World(accuracies, old)
    for (what, nth), fate in [*promoters, *others]:
        if what == "promoter":
            world.add(world.promoter(nth), fate)
        elif what in ("promotes", "rolls back"):
            world.add(person(nth, roll_back=what == "rolls back"), fate)
        else:
            world.add(meddler(nth, what.removeprefix("sets "), deletes=what == "deletes"), fate)
    world.run(schedule)

    deletes = any(what == "deletes" for (what, _), _ in others)
    for number, process in enumerate(world.processes):
        if process.error:  # its version was deleted by a person, or is a copy that a person wanted to promote
            assert deletes or number >= len(promoters)
            assert isinstance(process.error, MlflowException)
            assert process.error.error_code == MISSING

    state = world.registry.reconcile()
    assert world.registry.read().aliases == state.aliases
    world.check_history(previous_is_the_one_before=not deletes)
    if state.champion and state.entries:
        champion = world.digests[state.champion]
        named = max(e.number for e in state.entries if e.champion_digest == champion)
        assert named > max((e.number for e in state.entries if e.withdrawn_digest == champion), default=0)


def test_two_that_look_compare_and_set_the_alias_end_on_the_worse_version():
    for promoter, champion in (("old", "0"), ("new", "1")):
        world = World([0, 1])
        for model in (1, 0):
            old = old_promoter(world, model)
            world.add(old if promoter == "old" else world.promoter(model), Fate())
        world.run(bytes([0, 1] * 50))  # in turn, a call each
        now = world.registry.read()
        assert now.versions[now.aliases[CHAMPION]].tags[WEIGHTS_TAG] == champion
