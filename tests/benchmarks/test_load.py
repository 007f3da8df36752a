"""The load run: what it counts as answered, and what as a fault."""

import asyncio
from typing import Any

import pytest

from benchmarks.load import Load, send
from tests.support.json_server import Call, Fault, JsonServer, serving


class Api(JsonServer):
    def respond(self, call: Call) -> Any:
        assert (call.path, call.body) == ("/invocations", {"inputs": []})
        return {"predictions": []}

    def answer(self, call: Call) -> tuple[int, str, str, dict[str, str]]:
        status, body, kind, headers = super().answer(call)
        return status, body, kind, headers | {"x-model-version": "1" if len(self.calls) <= 4 else "2"}


def test_each_request_is_an_answer_or_a_fault():
    server = Api()
    server.faults = [Fault("/invocations", 503, times=3)]
    with serving(server):
        load = asyncio.run(send(server.url, b'{"inputs": []}', 1, (10).__gt__))
    gone = asyncio.run(send(server.url, b"{}", 2, (4).__gt__))

    assert load.summary()["requests"] == len(server.calls) == 10
    assert load.faults == {"status 503": 3}
    assert load.versions == {"1": 1, "2": 6}
    assert (gone.summary()["requests"], gone.summary()["p50_ms"], gone.faults.total()) == (4, None, 4)


@pytest.mark.parametrize(
    ("count", "percent", "milliseconds"),
    [(100, 0, 1000), (100, 50, 51_000), (100, 99, 100_000), (99, 99, None), (20, 50, 11_000), (0, 50, None)],
)
def test_the_percentiles_are_of_all_answers(count: int, percent: int, milliseconds: float | None):
    """Of fewer than 100 answers nobody can say within which time 99 % come."""
    assert Load(seconds=[float(n) for n in range(count, 0, -1)]).percentile_ms(percent) == milliseconds
