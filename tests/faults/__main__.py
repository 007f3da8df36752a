"""Does each fault as often as said, goes on as a user would, and writes docs/faults.md."""

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
from tests.faults import processes, registry, tracking
from tests.faults.bench import Bench, Fault, run
from tests.support.project import ROOT

FAULTS: dict[str, tuple[Fault, int]] = {
    **{name: (fault, 5) for name, fault in processes.KILLS.items()},
    "two runs at once": (processes.two_at_once, 40),
    "clock going backwards": (processes.clock_backwards, 100),
    **tracking.FAULTS,
    **{name: (fault, 100) for name, fault in registry.FAULTS.items()},
}
"""Each fault, and by how much less often than --rounds it is done."""
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
        line = each.ran.line or ended.line
        if not row.line or "traceback" in line:
            row.line = line.replace(str(bench.root), "PROJECT")
        if ended.code or lacks or exceeds:
            print(f"{name}, round {row.rounds}: {ended.code}, lacks {lacks}, has too much {exceeds}")
            print(ended.output[-2000:] if ended.code else each.ran.output[-2000:])
    row.seconds = round((time.monotonic() - started) / max(1, row.rounds), 1)
    return row


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
    results = read_json(RESULTS, "") if RESULTS.exists() else {}
    names = [name for name in FAULTS if not only or any(part in name for part in only)]
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for name in names:
            row = measure(bench, name, rounds)
            print(row, flush=True)
            results[name] = asdict(row)
            write_json(RESULTS, results)
    write([Row(**results[name]) for name in FAULTS if name in results])


if __name__ == "__main__":
    sys.exit(main())
