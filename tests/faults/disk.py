"""A disk that is full, folders that cannot be written, and a model's file that is not the recorded one."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from tests.faults.bench import Bench, Round, run
from tests.support.data_files import flip
from tests.support.project import Project

NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
"""Mounts are private to the command: no rights are needed where user namespaces are allowed."""


def full(bench: Bench, rounds: int) -> Iterator[Round]:
    """The disk has room for the project, and from nothing to all of what the run writes, in equal steps."""
    start, end = (_kilobytes(bench.work / name) for name in ("validate", "done"))
    root, kept = quote(str(bench.root)), bench.work / "kept"
    for number in range(rounds):
        project = bench.restore("validate")
        size = start + 64 + (end - start) * number // rounds
        kept.mkdir()
        script = f"""
            mount -t tmpfs -o size={size}k tmpfs {root} && cp -a {bench.work}/validate/. {root} && cd {root}
            fashion run; code=$?
            cp -a {root}/. {kept}; exit $code
        """
        ran = run(project, *NAMESPACE, script)
        shutil.rmtree(bench.root)
        kept.rename(bench.root)
        yield Round(project, ran, go_on=("fashion", "run"))


def read_only(bench: Bench, rounds: int) -> Iterator[Round]:
    """The project, or a folder of it, is on a file system that is read-only."""
    for number in range(rounds):
        project = bench.restore("train")
        (project.root / "mlruns").mkdir(exist_ok=True)
        folder = quote(str(project.root / (".", "outputs", "mlruns", ".dvc")[number % 4]))
        script = f"""
            mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && cd "$PWD" && fashion run
        """
        yield Round(project, run(project, *NAMESPACE, script), go_on=("fashion", "run"))


def _kilobytes(folder: Path) -> int:
    said = subprocess.run(["du", "-sk", str(folder)], capture_output=True, text=True, check=True).stdout
    return int(said.split()[0])


def other_model(bench: Bench, rounds: int) -> Iterator[Round]:
    """A bit of `model.keras` has changed after the training: Keras must not read it."""
    for number in range(rounds):
        project: Project = bench.restore("evaluate")
        model = project.root / "outputs" / "train" / "model.keras"
        flip(model, number * model.stat().st_size // rounds)
        yield Round(project, run(project, "fashion", "step", "evaluate"))
