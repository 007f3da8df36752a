"""Rounds of promoters on one server: what each brings, and whether what came of it is right."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing import get_context
from time import monotonic
from typing import TYPE_CHECKING

from benchmarks.races.promoters import ACCURACY_TAG, Model, Task, log_model, register, with_history, work
from components.registry.history import CHAMPION
from components.registry.registry import WEIGHTS_TAG, Registry

if TYPE_CHECKING:
    from mlflow import MlflowClient

SECONDS = 120
"""The longest that a round may take."""
KINDS = (
    "no champion",
    "a champion",
    "a champion without a history",
    "no champion, and two promoters with the same weights",
)
"""What there is before a round, in turn; half of each kind begin when all versions are registered."""


@dataclass
class Result:
    """What came of rounds of the same kind.

    Args:
        rounds: How many.
        wrong: Rounds after which the champion is not the best version, or aliases or history are not right.
        twice: Rounds after which weights have several versions, or none.
        errors: The errors of promoters.
        seconds: The time that the rounds took.
    """

    rounds: int = 0
    wrong: int = 0
    twice: int = 0
    errors: list[str] = field(default_factory=list)
    seconds: float = 0

    @property
    def right(self) -> bool:
        """Whether all is as it should be."""
        return not (self.wrong or self.twice or self.errors)


class Promoters:
    """Promoter processes that wait for rounds.

    Args:
        client: Client of the server, which prepares the rounds and looks at what came of them.
        url: The server.
        count: Number of promoters.
        seed: Decides what they bring.
    """

    def __init__(self, client: MlflowClient, url: str, count: int, seed: int) -> None:
        self.client, self.count, self.random = client, count, random.Random(f"{seed}-{count}")  # noqa: S311
        context = get_context("spawn")
        self.outcomes = context.Queue()
        self.queues = [context.Queue() for _ in range(count)]
        self.barrier = context.Barrier(count, timeout=SECONDS)
        self.processes = [
            context.Process(target=work, args=(url, self.barrier, tasks, self.outcomes), daemon=True)
            for tasks in self.queues
        ]
        for process in self.processes:
            process.start()

    def round(self, number: int, *, history: bool, result: Result) -> None:
        """Lets the promoters race once for a new registered model, and adds what came of it to a result."""
        kind = KINDS[number % len(KINDS)]
        models = [self._model(number, nth) for nth in range(self.count)]
        if kind == KINDS[3]:
            models[1] = models[0]
        registry = Registry(self.client, f"races-{self.count}-{'history' if history else 'alias'}-{number}")
        before = self._model(number, self.count)
        if kind in KINDS[1:3]:
            version = register(registry, before, *log_model(self.client))
            if kind == KINDS[1] and history:
                with_history(registry, version, before)
            else:
                self.client.set_registered_model_alias(registry.name, CHAMPION, version.version)
        started = monotonic()
        registered = number // len(KINDS) % 2 == 1
        for queue, model in zip(self.queues, models, strict=True):
            queue.put(Task(registry.name, model, history, registered))
        outcomes = [self.outcomes.get(timeout=SECONDS) for _ in models]
        result.seconds += monotonic() - started
        result.rounds += 1
        result.errors += [f"{name} ({kind}): {error}" for name, error in outcomes if error]
        there = [*models, before] if kind in KINDS[1:3] else models
        result.twice += not once(registry, there)
        result.wrong += not (right(registry, there) if history else is_best(registry, there))

    def end(self) -> None:
        """Ends the processes."""
        for queue in self.queues:
            queue.put(None)
        for process in self.processes:
            process.join(timeout=30)
            process.kill()

    def _model(self, number: int, nth: int) -> Model:
        return Model(f"weights-{number}-{nth}", round(self.random.uniform(0.9, 0.96), 6))


@contextmanager
def promoters(client: MlflowClient, url: str, count: int, seed: int) -> Iterator[Promoters]:
    """Promoter processes, which end with the block."""
    made = Promoters(client, url, count, seed)
    try:
        yield made
    finally:
        made.end()


def once(registry: Registry, models: Sequence[Model]) -> bool:
    """Whether each of the models is registered as one version."""
    found = [version.tags[WEIGHTS_TAG] for version in registry.read().versions.values()]
    return sorted(found) == sorted({model.weights for model in models})


def is_best(registry: Registry, models: Sequence[Model]) -> bool:
    """Whether the best of the models has the alias `champion`."""
    now = registry.read()
    champion = now.versions.get(now.aliases.get(CHAMPION, 0))
    best = max(models, key=lambda model: model.accuracy)
    return champion is not None and champion.tags[WEIGHTS_TAG] == best.weights


def right(registry: Registry, models: Sequence[Model]) -> bool:
    """Whether the best is champion, aliases and history agree, and each champion beat the one before it."""
    now = registry.read()
    accuracy = {number: float(version.tags[ACCURACY_TAG]) for number, version in now.versions.items()}
    chain = all(
        later.after == earlier.number
        and later.previous == earlier.champion
        and accuracy[later.champion] > accuracy[earlier.champion]
        for earlier, later in pairwise(now.state.entries)
    )
    return is_best(registry, models) and now.aliases == now.state.aliases and chain
