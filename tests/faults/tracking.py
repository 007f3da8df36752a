"""MLflow that is down, dies, answers 500 or is slow, and a database that another process has locked."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.bench import Bench, Round, finish, run, start, with_variables
from tests.support.mlflow_server import Server, serving
from tests.support.project import Project
from tests.support.s3_server import Proxy

EVERY = {"": (500, "InternalError")}


@dataclass
class Tracked:
    """A project before its training, whose runs go to a server behind a proxy that fails on order."""

    project: Project
    server: Server
    proxy: Proxy
    folder: Path

    @property
    def database(self) -> Path:
        """The server's."""
        return self.folder / "server.db"

    def train(self, fault: Callable[[], None]) -> Round:
        """Runs the training, with a fault after its first epoch; the training has to go on."""
        process = start(self.project, "fashion", "step", "train")
        head = ""
        for line in process.stdout or ():
            head += line
            if line.startswith("epoch 1/"):
                break
        fault()
        ran = finish(process)
        assert ran.code == 0, head + ran.output
        return Round(self.project, type(ran)(ran.code, head + ran.output), self.database)


@contextmanager
def tracked(bench: Bench) -> Iterator[Tracked]:
    """Such a project, with a server of its own."""
    with TemporaryDirectory() as folder, serving(Path(folder)) as server:
        proxy = Proxy(int(server.url.rpartition(":")[2]))
        proxy.rise()
        project = with_variables(bench.restore("train"), MLFLOW_TRACKING_URI=proxy.url)
        yield Tracked(project, server, proxy, Path(folder))
        proxy.die()


def down_at_start(bench: Bench, rounds: int) -> Iterator[Round]:
    """Nobody listens at MLFLOW_TRACKING_URI."""
    for _ in range(rounds):
        with tracked(bench) as made:
            made.proxy.die()
            ran = run(made.project, "fashion", "run")
            made.proxy.rise()
            yield Round(made.project, ran, made.database)


def dies_in_training(bench: Bench, rounds: int) -> Iterator[Round]:
    """kill -9 of the server after the first epoch; it is back after the training."""
    for _ in range(rounds):
        with tracked(bench) as made:
            made.proxy.seconds = 0.2  # the training is not over before the server is dead

            def die(made: Tracked = made) -> None:
                made.proxy.die()
                made.server.process.kill()

            done = made.train(die)
            with serving(made.folder) as server:
                made.proxy.target = int(server.url.rpartition(":")[2])
                made.proxy.seconds = 0
                made.proxy.rise()
                yield done


def answers_500(bench: Bench, rounds: int) -> Iterator[Round]:
    """Every answer is 500: from the start, and after the first epoch, in turn."""
    for number in range(rounds):
        with tracked(bench) as made:
            if number % 2:
                made.proxy.seconds = 0.2
                done = made.train(lambda made=made: made.proxy.refused.update(EVERY))  # type: ignore[misc]
                made.proxy.seconds = 0
            else:
                made.proxy.refused.update(EVERY)
                done = Round(made.project, run(made.project, "fashion", "run"), made.database)
            made.proxy.refused.clear()
            yield done


def slow(bench: Bench, rounds: int) -> Iterator[Round]:
    """Each answer takes longer than a client waits: from the start, and after the first epoch, in turn."""
    for number in range(rounds):
        with tracked(bench) as made:
            if number % 2:
                made.proxy.seconds = 0.2
                made.project.environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "2"  # in place of 30 s
                done = made.train(lambda made=made: setattr(made.proxy, "seconds", 5))  # type: ignore[misc]
            else:
                made.proxy.seconds = 5
                done = Round(made.project, run(made.project, "fashion", "run"), made.database)
            made.proxy.seconds = 0
            yield done


def locked(bench: Bench, rounds: int) -> Iterator[Round]:
    """Another process has the embedded store's database locked, during a whole step."""
    for number in range(rounds):
        step = ("evaluate", "gate", "register")[number % 3]
        project = bench.restore(step)
        with closing(sqlite3.connect(project.root / "mlruns" / "mlflow.db")) as other:
            other.execute("BEGIN EXCLUSIVE")
            ran = run(project, "fashion", "run")
        yield Round(project, ran)


def locked_for_a_moment(bench: Bench, rounds: int) -> Iterator[Round]:
    """The same for 3 seconds out of 6, as long as the step runs."""
    for number in range(rounds):
        step = ("evaluate", "gate", "register")[number % 3]
        project = bench.restore(step)
        over = threading.Event()

        def lock(project: Project = project, over: threading.Event = over) -> None:
            while not over.wait(3):
                with closing(sqlite3.connect(project.root / "mlruns" / "mlflow.db")) as other:
                    other.execute("BEGIN EXCLUSIVE")
                    over.wait(3)

        thread = threading.Thread(target=lock)
        thread.start()
        ran = run(project, "fashion", "step", step)
        over.set()
        thread.join()
        yield Round(project, ran)
