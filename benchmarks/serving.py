"""The REST API under load, beside the model's own throughput; writes a table into `docs/serving.md`.

With fewer requests than by default it prints only.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import click
from tabulate import tabulate

from benchmarks.load import Load, send
from benchmarks.machine import describe_machine
from benchmarks.trial import ROOT
from components.common import idx
from components.common.errors import PipelineError
from components.common.files import replacing
from pipeline.cli.main import run_command
from pipeline.project import Project
from pipeline.registry.champion import load_champion
from pipeline.serving.model import ImageModel

REQUESTS = 10_000
CASES = [(1, 1), (1, 4), (1, 16), (1, 64), (16, 1), (16, 4), (256, 1), (256, 4)]
"""Images in a request, and requests at the same moment."""
START, END = "<!-- table: make bench-serve -->", "<!-- end of the table -->"
COLUMNS = (
    "images",
    "at once",
    "requests",
    "failed",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "images/s",
    "network alone",
)


@contextmanager
def server() -> Iterator[str]:
    """`fashion serve` in a process of its own; the address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "pipeline.cli.main", "serve", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}) as process:
        try:
            while process.poll() is None:
                try:
                    with urllib.request.urlopen(f"{url}/ping", timeout=5):  # noqa: S310 - ours
                        break
                except OSError:
                    time.sleep(0.2)
            else:
                raise PipelineError("the server did not start", "`fashion serve` says why")
            yield url
        finally:
            process.terminate()


def own_throughput(network: ImageModel, batch: idx.Bytes, seconds: float = 2.0) -> float:
    """Images a second of the compiled network alone, called in turn."""
    count, begin = 0, time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds:
        network.predict(batch)
        count += len(batch)
    return count / spent


def measure(images: idx.Bytes, requests: int) -> list[tuple[int, int, Load, float]]:
    """Each case, and just before it the network alone; most of the requests are those of one image."""
    network, results = ImageModel(load_champion(ROOT, Project(ROOT).params())), []
    with server() as url:
        for size, concurrency in CASES:
            own = own_throughput(network, images[:size])
            body = json.dumps({"inputs": images[:size].tolist()}).encode()
            count = requests // 4 if size == 1 else max(20, requests // (10 * size))
            load = asyncio.run(send(url, body, concurrency, count.__gt__))
            print(size, concurrency, load.summary(), flush=True)
            results.append((size, concurrency, load, own))
    return results


@click.command(help=__doc__)
@click.option("--requests", default=REQUESTS, show_default=True, type=click.IntRange(min=100))
def main(requests: int) -> None:
    """Measures each case, and writes the table."""
    images, _ = idx.read_split(ROOT / "data", "test")
    rows = []
    for size, concurrency, load, own in measure(images, requests):
        summary = load.summary()
        rate = summary["requests_per_second"]
        counts = (summary["requests"], sum(load.faults.values()))
        times = (summary["p50_ms"], summary["p99_ms"])
        rows.append((size, concurrency, *counts, rate, *times, round(rate * size), round(own)))
    total, failed = (sum(int(row[column]) for row in rows) for column in (2, 3))
    text = (
        f"Made by `make bench-serve` on {datetime.now(UTC):%Y-%m-%d}: {describe_machine()}. "
        f"Load average {os.getloadavg()[1]:.0f}.\n\n"
        f"{total:,} requests, {failed} failed. Client and server share the machine. The last column is the "
        "network alone, called in turn with so many images, just before: images/s.\n\n"
        f"{tabulate(rows, COLUMNS, 'github')}"
    )
    print(f"\n{text}")
    if failed:
        raise PipelineError(f"{failed} requests failed", "the output above says how")
    if requests >= REQUESTS:
        path = ROOT / "docs" / "serving.md"
        before, rest = path.read_text(encoding="utf-8").split(START)
        with replacing(path) as partial:
            partial.write_text(f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    run_command(main)
