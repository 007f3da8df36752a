"""Promoters that race for the champion on a real MLflow server: is the best version champion, each time?

Writes `docs/races.md` (without one of the databases, or of 2, 4 and 8 promoters: prints only).
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import click
from tabulate import tabulate

from benchmarks.machine import describe_machine
from benchmarks.races.rounds import KINDS, Result, promoters
from benchmarks.races.servers import DATABASES, WORKERS, postgresql, serving
from components.common.files import replacing
from pipeline.cli.main import run_command
from pipeline.tracking.settings import configure_mlflow

ROOT = Path(__file__).parents[2]
ROUNDS, PROMOTERS = 1000, (2, 4, 8)
OLD_ROUNDS = 40
"""Rounds of promoters that look, compare and set the alias, for each database."""
COLUMNS = ("database", "promoters", "rounds", "wrong champions", "errors", "versions twice", "s a round")


def race(url: str, count: int, rounds: int, seed: int, label: str, *, history: bool) -> Result:
    """Runs rounds of so many promoters on a server, and prints a line for each 50."""
    from mlflow import MlflowClient

    result, started = Result(), monotonic()
    with promoters(MlflowClient(url), url, count, seed) as group:
        for number in range(rounds):
            group.round(number, history=history, result=result)
            if result.rounds % 50 == 0 or result.rounds == rounds:
                left = (monotonic() - started) / result.rounds * (rounds - result.rounds)
                print(
                    f"{label}: {result.rounds} of {rounds} rounds, {result.wrong} wrong champions, "
                    f"{len(result.errors)} errors, {result.twice} with versions twice, "
                    f"{timedelta(seconds=round(left))} left"
                )
    for error in result.errors[:5] if history else ():
        print(f"  {error}")
    return result


@click.command(help=__doc__)
@click.option(
    "--rounds", default=ROUNDS, show_default=True, type=click.IntRange(3), help="Rounds for each database."
)
@click.option(
    "--promoters",
    "counts",
    default=PROMOTERS,
    show_default=True,
    multiple=True,
    type=click.IntRange(2, 32),
    help="Promoters in a round; the rounds are shared out over these.",
)
@click.option(
    "--database",
    "databases",
    default=DATABASES,
    show_default=True,
    multiple=True,
    type=click.Choice(DATABASES),
    help="Where the server keeps its state.",
)
@click.option("--seed", default=1, show_default=True, help="Decides which models the promoters bring.")
def main(rounds: int, counts: tuple[int, ...], databases: tuple[str, ...], seed: int) -> None:
    """Runs the rounds, prints the table and writes it."""
    configure_mlflow()
    rows, right = [], True
    for database in databases:
        if database == "postgresql" and not postgresql():
            print("postgresql: left out, since PostgreSQL is not installed (Debian: apt install postgresql)")
            continue
        with serving(database) as url:
            old = race(url, 2, OLD_ROUNDS, seed, f"{database}, without the history", history=False)
            rows.append(row(f"{database}, without the history", 2, old))
            for nth, count in enumerate(counts):
                share = rounds // len(counts) + (nth < rounds % len(counts))
                result = race(url, count, share, seed, f"{database}, {count} promoters", history=True)
                rows.append(row(database, count, result))
                right &= result.right
    table = tabulate(rows, COLUMNS, tablefmt="github", disable_numparse=True)
    print(f"\n{table}")
    if set(PROMOTERS) <= set(counts) and set(DATABASES) <= {r[0] for r in rows}:
        with replacing(ROOT / "docs" / "races.md") as partial:
            partial.write_text(document(table, rounds), encoding="utf-8")
        print("kept in docs/races.md")
    if not right:
        print("error: a wrong champion, an error, or weights with two versions; see above", file=sys.stderr)
        sys.exit(1)


def row(database: str, count: int, result: Result) -> tuple[str, ...]:
    """A row of the table."""
    figures = (count, result.rounds, result.wrong, len(result.errors), result.twice)
    return (database, *map(str, figures), f"{result.seconds / result.rounds:.2f}")


def document(table: str, rounds: int) -> str:
    """`docs/races.md`."""
    return f"""# Races for the champion

Made by `make races ARGS="--rounds {rounds}"` on {datetime.now(UTC):%Y-%m-%d}: {describe_machine()}.

A real MLflow server with {WORKERS} processes, and promoters that are processes of their own. In each round
every promoter registers a version of a new registered model, and makes it champion if it beats the champion,
with the code of the register step. All start at the same moment: in half of the rounds before they register,
in the other half when all have registered. Before a round there is, in turn: {"; ".join(KINDS)}.

After it, another process looks. A champion is wrong if it is not the best version, if the aliases are not
what the history says, or if an entry of the history does not follow the one before it. Each model must have
exactly one version. The errors are those that a user would have seen.

"Without the history" are promoters that look, compare and set the alias: these lines show that the rounds
find wrong champions.

{table}
"""


if __name__ == "__main__":
    run_command(main)
