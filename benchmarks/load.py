"""Sends requests to the REST API, so many at the same moment; prints a JSON object of what came back.

`python -m benchmarks.load URL --until FILE` goes on until there is a file of that name. It needs nothing
of the project, so that a pod can run it as `python -c`.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp


@dataclass
class Load:
    """What came back.

    Args:
        seconds: Of each answered request.
        wall: Seconds from the first request to the last answer.
        faults: What else came back than status 200, with how often.
        versions: Answers by version of the model.
    """

    seconds: list[float] = field(default_factory=list)
    wall: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    def percentile_ms(self, percent: int) -> float | None:
        """Milliseconds within which so many percent were answered; None of too few to say."""
        ordered = sorted(self.seconds)
        if len(ordered) * (100 - percent) < 100:
            return None
        return round(1000 * ordered[len(ordered) * percent // 100], 1)

    def summary(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "requests": len(self.seconds) + sum(self.faults.values()),
            "faults": dict(self.faults),
            "versions": dict(self.versions),
            "requests_per_second": round(len(self.seconds) / self.wall, 1),
            "p50_ms": self.percentile_ms(50),
            "p99_ms": self.percentile_ms(99),
        }


async def send(
    url: str, body: bytes, concurrency: int, goes_on: Callable[[int], bool], pause: float = 0.0
) -> Load:
    """Sends a request again and again from each of `concurrency` clients, without retries.

    Args:
        url: Of the server.
        body: The JSON of a request.
        concurrency: Clients, each with one request at a time.
        goes_on: Whether a request is sent, by the number of those before it.
        pause: Seconds between an answer and the client's next request.
    """
    load, sent = Load(), 0

    async def client(session: aiohttp.ClientSession) -> None:
        nonlocal sent
        while goes_on(sent):
            sent += 1
            await asyncio.sleep(pause)
            start = time.perf_counter()
            try:
                async with session.post("/invocations", data=body) as answer:
                    await answer.read()
            except (aiohttp.ClientError, TimeoutError) as error:
                load.faults[f"{type(error).__name__}: {error}"] += 1
                continue
            if answer.status == 200:
                load.seconds.append(time.perf_counter() - start)
                load.versions[answer.headers["x-model-version"]] += 1
            else:
                load.faults[f"status {answer.status}"] += 1

    options: dict[str, Any] = {"headers": {"content-type": "application/json"}, "base_url": url}
    connector = aiohttp.TCPConnector(limit=concurrency)
    begin = time.perf_counter()
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(60), **options
    ) as session:
        await asyncio.gather(*(client(session) for _ in range(concurrency)))
    load.wall = time.perf_counter() - begin
    return load


def main() -> None:
    """Sends an image until there is the file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--until", type=Path, required=True)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.1)
    arguments = parser.parse_args()
    body = json.dumps({"inputs": [[[7] * 28] * 28]}).encode()
    until, pause = arguments.until, arguments.pause
    load = asyncio.run(send(arguments.url, body, arguments.concurrency, lambda _: not until.exists(), pause))
    print(json.dumps(load.summary()))


if __name__ == "__main__":
    main()
