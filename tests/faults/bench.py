"""A small project, the state of its undisturbed run, and the comparison of another run's with it."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from components.common.files import file_digest
from pipeline.steps import STEP_NAMES
from tests.support.data_files import write_subset
from tests.support.project import MODEL, ROOT, Project, environment_of, new_project

TRAIN_EACH, TEST_EACH = 40, 10
"""Images of each class."""
SETTINGS = {
    ("data", "train_images"): 10 * TRAIN_EACH,
    ("data", "test_images"): 10 * TEST_EACH,
    ("validate", "pixel_mean"): {"tolerance": 0.1, "severity": "critical"},
    ("validate", "pixel_std"): {"tolerance": 0.1, "severity": "critical"},
    ("model", "name"): "mlp-128-64",
    ("train", "epochs"): 3,
    ("train", "batch_size"): 32,
    ("train", "validation_images"): 50,
    ("gate", "accuracy_min"): 0.1,
}
CURVES = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
QUERIES = {
    "run": "SELECT t.value, r.lifecycle_stage, r.status FROM runs r LEFT JOIN tags t "
    "ON t.run_uuid = r.run_uuid AND t.key = 'weights_digest'",
    "epoch": f"SELECT key, step, value FROM metrics WHERE key IN {CURVES}",
    "metric": f"SELECT DISTINCT key FROM metrics WHERE key NOT IN {CURVES}",
    "logged model": "SELECT status, lifecycle_stage FROM logged_models",
    "version": "SELECT v.name, t.value FROM model_versions v LEFT JOIN model_version_tags t "
    "ON t.name = v.name AND t.version = v.version AND t.key = 'weights_digest' "
    f"WHERE v.current_stage != 'Deleted_Internal' AND v.name = '{MODEL}'",
    "alias": "SELECT a.name, a.alias, t.value FROM registered_model_aliases a LEFT JOIN model_version_tags t "
    "ON t.name = a.name AND t.version = a.version AND t.key = 'weights_digest' "
    f"WHERE a.name = '{MODEL}'",
}
SAID = ("error: ", "mlflow does not answer", "the run is not recorded", "the registry does not have")
"""How a line begins that tells the user of a fault, in lower case."""

Facts = Counter[tuple[object, ...]]


@dataclass(frozen=True)
class Ran:
    """The end of a command: its exit code (negative: the signal that ended it), and what it printed."""

    code: int
    output: str

    @property
    def line(self) -> str:
        """The line that says what was wrong."""
        lines = [line.strip() for line in self.output.splitlines()]
        found = [line for line in lines if line.lower().startswith(SAID)]
        traceback = "with a traceback: " * ("Traceback (most" in self.output)
        return traceback + (found or [f"exit code {self.code}" if self.code else ""])[0]


@dataclass(frozen=True)
class Round:
    """One fault, which is over.

    Args:
        project: The project.
        ran: What the command said that had the fault.
        database: MLflow's, if it is not the embedded store's.
        go_on: How a user goes on.
        aside: Kinds of facts that the fault makes by itself, which are not counted.
    """

    project: Project
    ran: Ran
    database: Path | None = None
    go_on: tuple[str, ...] = ("dvc", "repro")
    aside: tuple[str, ...] = ()


Fault = Callable[["Bench", int], Iterator[Round]]


@dataclass
class Bench:
    """A project that is put back to what it was before a step, as often as one likes.

    Args:
        work: An empty folder. The project is always at the same place in it: MLflow keeps absolute paths.
    """

    work: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.work / "subset").mkdir()
        subset = write_subset(ROOT / "data", self.work / "subset", TRAIN_EACH, TEST_EACH)
        project = new_project(self.root, subset)
        for (section, name), value in SETTINGS.items():
            project.change(section, name, value)
        for step in STEP_NAMES:
            self._keep(step)
            started = time.monotonic()
            project.run("dvc", "repro", "--single-item", step)
            self.seconds[step] = time.monotonic() - started
        self._keep("done")
        self.undisturbed = facts(project)

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.work / "project"

    def restore(self, step: str = "done", root: Path | None = None) -> Project:
        """The project as it was right before a step, or when all were done."""
        root = root or self.root
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.work / step), str(root)], check=True)
        return Project(root, environment_of(root))

    def compare(self, done: Round) -> tuple[Facts, Facts]:
        """What a run that was disturbed lacks, and what it has too much, beside the undisturbed one."""
        found = facts(done.project, done.database)
        extra = Counter(
            {fact: n for fact, n in (found - self.undisturbed).items() if fact[0] not in done.aside}
        )
        return self.undisturbed - found, extra

    def _keep(self, step: str) -> None:
        subprocess.run(["cp", "-a", str(self.root), str(self.work / step)], check=True)


def facts(project: Project, database: Path | None = None) -> Facts:
    """What is in dvc.lock, in the store and in the registry, and each file that is half written."""
    found: Facts = Counter()
    found["dvc.lock", file_digest(project.root / "dvc.lock", "md5")] = 1
    for path in project.root.rglob("*.partial"):
        found["half written", path.name] += 1
    for path in (project.root / "outputs" / ".training").glob("*"):
        found["state of a training", path.name] += 1
    database = database or project.root / "mlruns" / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection:
        for kind, query in QUERIES.items():
            for row in connection.execute(query):
                found[kind, *row] += 1
    return found


def start(project: Project, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Starts a command in a process group of its own."""
    return subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment | {"PYTHONUNBUFFERED": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 300) -> Ran:
    """Waits for the end of a command; one that takes longer is ended."""
    try:
        output = process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        kill_group(process)
        output = process.communicate()[0] + f"\nerror: no end after {seconds:.0f} s"
    return Ran(process.returncode, output)


def run(project: Project, *command: str, **environment: str) -> Ran:
    """Runs a command to its end."""
    return finish(start(project, *command, **environment))


def kill_group(process: subprocess.Popen[str]) -> None:
    """kill -9 of a command and of all that it started, if any of it is left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def with_variables(project: Project, **environment: str) -> Project:
    """The project, with more environment variables."""
    return replace(project, environment=project.environment | environment)
