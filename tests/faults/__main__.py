"""Does each fault as often as said, goes on as a user would, and writes docs/faults.md."""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from tabulate import tabulate

from benchmarks.machine import describe_machine
from components.common.files import read_json, replacing, write_json
from tests.faults import disk, names, processes, registry, storage, tracking
from tests.faults.bench import Bench, Fault, run
from tests.support.project import ROOT

FAULTS: dict[str, tuple[Fault, int]] = {
    **{name: (fault, 5) for name, fault in processes.KILLS.items()},
    "two runs at once": (processes.two_at_once, 40),
    "clock going backwards": (processes.clock_backwards, 100),
    "MLflow down at start": (tracking.down_at_start, 100),
    "MLflow killed in training": (tracking.dies_in_training, 40),
    "MLflow answers 500": (tracking.answers_500, 50),
    "MLflow slow": (tracking.slow, 50),
    "SQLite locked": (tracking.locked, 60),
    "SQLite locked for moments": (tracking.locked_for_a_moment, 60),
    "disk full": (disk.full, 10),
    "read-only folder": (disk.read_only, 50),
    "a bit of model.keras changed": (disk.other_model, 50),
    **{name: (fault, 100) for name, fault in (storage.FAULTS | registry.FAULTS | names.FAULTS).items()},
}
"""Each fault, and by how much less often than --rounds it is done."""
IDX = "IDX reader, fuzzed"
RESULTS = ROOT / "outputs" / "faults.json"
HEADERS = ("fault", "rounds", "lost", "half-done", "recovered", "what the user sees", "seconds a round")


@dataclass
class Row:
    """The rounds of a fault, and in how many of them something was lost, was half-done, and all was well."""

    fault: str
    rounds: int = 0
    lost: int = 0
    half_done: int = 0
    recovered: int = 0
    line: str = ""
    seconds: float = 0.0


def measure(bench: Bench, name: str, rounds: int) -> Row:
    """Does a fault in several rounds, each followed by the command that a user would give."""
    fault, share = FAULTS[name]
    row, started = Row(name), time.monotonic()
    for each in fault(bench, max(1, rounds // share)):
        ended = run(each.project, *each.go_on)
        lacks, exceeds = bench.compare(each)
        row.rounds += 1
        row.lost += bool(lacks)
        row.half_done += bool(exceeds)
        row.recovered += not (ended.code or lacks or exceeds)
        line = (each.ran.line or ended.line).replace(str(bench.work), "").replace("|", "/")[:200]
        print(f"{name}, round {row.rounds}: {line}", flush=True)
        if not row.line or "traceback" in line:
            row.line = line
        if "traceback" in line:
            print(each.ran.output[-3000:], flush=True)
        if ended.code or lacks or exceeds:
            print(f"then {ended.code}, lacks {lacks}, has too much {exceeds}")
            print(ended.output[-2000:] if ended.code else each.ran.output[-2000:])
    row.seconds = round((time.monotonic() - started) / max(1, row.rounds), 1)
    return row


def fuzzed(inputs: int) -> Row:
    """Reads so many files that are not in order, in a process of its own."""
    command = [sys.executable, "-m", "tests.faults.fuzz", str(inputs)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(said.stdout)
    print(said.stderr[-2000:])
    line = f"DataError, or the file's bytes ({found['read']:,}); {found['megabytes']:.0f} MB of memory more"
    return Row(IDX, inputs, 0, 0, found["right"], line, found["seconds"] / inputs)


def write(rows: list[Row]) -> None:
    """Writes docs/faults.md."""
    table = [tuple(asdict(row).values()) for row in rows]
    with replacing(ROOT / "docs" / "faults.md") as partial:
        partial.write_text(
            "# Faults\n\n"
            "`make faults` does each fault to a small copy of the project, with real processes, then runs "
            "`dvc repro` (of the registry's faults: `fashion run`) and compares with an undisturbed run: "
            "`dvc.lock`, the files, the runs in MLflow with every epoch and metric, the versions and aliases "
            "of the registry. In how many rounds was something lost, was something left half-done or twice, "
            "and was everything as in the undisturbed run?\n\n"
            "Not counted: after a change of the registry by hand, a second logged model in the run and other "
            "registered models than that of params.yaml; after hostile names, what they name. "
            "`with a traceback` in the last column is a fault not mended.\n\n"
            "kill -9 comes at a random moment of the step. Rows with few rounds are from a quick look: "
            "`make faults` does 200 rounds of kill -9, 40 for each step, and writes this page anew.\n\n"
            f"Made on {datetime.now(UTC):%Y-%m-%d} with {describe_machine()}.\n\n"
            + tabulate(table, HEADERS, tablefmt="github")
            + "\n",
            encoding="utf-8",
        )


@click.command()
@click.option("--rounds", default=200, show_default=True, help="Of kill -9; others less.")
@click.option("--only", multiple=True, help="Part of a fault's name. The others keep their last results.")
def main(rounds: int, only: tuple[str, ...]) -> None:
    """Does the faults."""
    os.environ.update(DVC_NO_ANALYTICS="1", GX_ANALYTICS_ENABLED="false", MLFLOW_DISABLE_TELEMETRY="true")
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    results = read_json(RESULTS, "") if RESULTS.exists() else {}
    chosen = [name for name in FAULTS if not only or any(part in name for part in only)]

    def keep(row: Row) -> None:
        print(row, flush=True)
        results[row.fault] = asdict(row)
        write_json(RESULTS, results)

    if not only or any(part in IDX for part in only):
        keep(fuzzed(5000 * rounds))
    with TemporaryDirectory() as folder:
        bench = None
        for name in chosen:
            bench = bench or Bench(Path(folder))
            keep(measure(bench, name, rounds))
    write([Row(**results[name]) for name in (*FAULTS, IDX) if name in results])


if __name__ == "__main__":
    sys.exit(main())
