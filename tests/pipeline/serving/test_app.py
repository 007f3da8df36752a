"""The REST API's contract, asked of a real server with a small model."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from components.common import idx
from components.registry.model import load_version
from components.registry.registry import FILE_TAG, Registry
from pipeline.registry.decisions import promote
from pipeline.registry.versions import open_registry
from pipeline.serving import DRAINING, MODEL, VERSION
from pipeline.serving.app import MAX_BYTES, MAX_DRAINED, MAX_TOGETHER
from tests.support.project import environment_of
from tests.support.serving import CLASSES, Served, add_model, serving

NAME = "small"
JSON = {"content-type": "application/json"}
IMAGE = [[7] * 28] * 28


@pytest.fixture(scope="module")
def registry(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An embedded store with two versions; the second is champion, whatever its alias says."""
    root = tmp_path_factory.mktemp("serving")
    before = dict(os.environ)
    registry = open_registry(root, NAME)
    for seed in (1, 2):
        add_model(registry, real_data, seed)
    promote(registry, 2, "for the test", "somebody")
    registry.client.set_registered_model_alias(NAME, "champion", "1")
    yield registry
    os.environ.clear()
    os.environ.update(before)


def root_of(registry: Registry) -> Path:
    return Path(registry.client.tracking_uri.removeprefix("sqlite:///")).parents[1]


@pytest.fixture(scope="module")
def server(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """As in a pod: the environment says what to serve; an empty version means the champion."""
    temporary = tmp_path_factory.mktemp("tmp")
    (temporary / "draining").touch()  # of an earlier container of the pod
    variables = {MODEL: NAME, VERSION: "", DRAINING: str(temporary / "draining")}
    with serving(root_of(registry), temporary, **variables) as server:
        yield server


def ask(server: Served, body: Any, headers: dict[str, str] = JSON) -> requests.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return requests.post(f"{server.url}/invocations", data=content, headers=headers, timeout=60)


def connect(server: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=60)


def test_the_probabilities_are_those_of_the_champions_network(
    server: Served, registry: Registry, real_data: Path
):
    champion = load_version(registry.client, registry.read().versions[2], CLASSES)
    images, _ = idx.read_split(real_data, "test")
    several = images[:600]  # more than one batch

    def same(start: int) -> bool:
        chunk = several[start : start + 20]
        answer = ask(server, {"inputs": chunk.tolist()})
        own = champion.network(chunk, training=False).numpy()
        return answer.status_code == 200 and np.allclose(answer.json()["predictions"], own, atol=1e-6)

    answer = ask(server, {"inputs": several.tolist()})
    own = champion.network(several, training=False).numpy()
    np.testing.assert_allclose(answer.json()["predictions"], own, atol=1e-6)
    with ThreadPoolExecutor(16) as pool:  # each gets its own answer
        assert all(pool.map(same, range(0, 600, 20)))


def test_it_says_what_it_serves(server: Served, registry: Registry):
    info = requests.get(f"{server.url}/info", timeout=10)
    assert info.json() == {
        "model": NAME,
        "version": 2,
        "weights_digest": registry.read().versions[2].tags["weights_digest"],
        "data_version": None,
        "accuracy": 0.1,
        "image_size": [28, 28],
        "classes": CLASSES,
        "max_bytes": MAX_BYTES,
    }
    assert {ask(server, {}).headers["x-model-version"], info.headers["x-model-version"]} == {"2"}
    assert requests.get(f"{server.url}/ping", timeout=10).status_code == 200
    for page in ("docs", "redoc", "openapi.json"):  # FastAPI's, which know nothing of images
        assert requests.get(f"{server.url}/{page}", timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"inputs": IMAGE}, "found an array of shape (28, 28)"),
        ({"inputs": [[[1] * 27] * 28]}, "found an array of shape (1, 28, 27)"),
        ({"inputs": [[[1] * 27, *[[1] * 28] * 27]]}, "inhomogeneous"),
        ({"inputs": []}, "each image 28 rows of 28 pixels; found"),
        ({"inputs": [[[0.5] * 28] * 28]}, "whole number from 0 to 255"),
        ({"inputs": [[[300] * 28] * 28]}, "whole number from 0 to 255"),
        ({"inputs": [[[-1] * 28] * 28]}, "whole number from 0 to 255"),
        ({"inputs": [[["7"] * 28] * 28]}, "whole number from 0 to 255"),
        ({"inputs": [[[None] * 28] * 28]}, "whole number from 0 to 255"),
        ({"inputs": {"a": 1}}, "expected"),
        ({"dataframe_records": [{"a": 1}]}, "expected"),
        ({"messages": []}, "expected"),
        ([IMAGE], "Received a list"),
        ({}, "exactly one of the input fields"),
        (b"", "valid JSON"),
        (b"\xff", "valid JSON"),
        (b"x" * 1_000_000, "valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"inputs": [' + b"9" * 5000 + b"]}", "cannot be read"),
        ({"inputs": [["x" * 100_000]]}, "found an array"),
    ],
)
def test_what_is_no_image_is_refused_with_a_reason(server: Served, body: Any, reason: str):
    answer = ask(server, body)
    assert answer.status_code == 400
    assert reason in answer.json()["message"]
    assert "Traceback" not in answer.text
    assert len(answer.text) < 2500


def test_other_formats_and_huge_requests_are_refused(server: Served):
    text = ask(server, b"a,b\n1,2", {"content-type": "text/csv"})
    assert (text.status_code, "send JSON" in text.json()["message"]) == (415, True)
    assert ask(server, b"{}", {}).status_code == 415
    assert ask(server, b"{}", {"content-type": f"application/json; {'x' * 10_000}=1"}).status_code == 415
    assert ask(server, {"inputs": [IMAGE]}, {"content-type": "Application/JSON; charset=UTF-8"}).ok
    assert requests.get(f"{server.url}/invocations", timeout=10).status_code == 405
    without_length = requests.post(f"{server.url}/invocations", data=iter([b"{}"]), headers=JSON, timeout=60)
    assert without_length.status_code == 411
    huge = ask(server, b" " * (MAX_BYTES + 1))
    assert (huge.status_code, "send fewer images" in huge.json()["message"]) == (413, True)
    most = ask(server, json.dumps({"inputs": [IMAGE]}).encode().ljust(MAX_BYTES))
    assert most.status_code == 200


def test_a_body_that_is_longer_than_its_content_length_says_is_refused(server: Served):
    """By RFC 9112 transfer-encoding counts, where there are both headers."""
    content = json.dumps({"inputs": [IMAGE]}).encode()
    headers = JSON | {"content-length": "5", "transfer-encoding": "chunked", "host": "here"}
    head = "\r\n".join(["POST /invocations HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items()), "", ""])
    with connect(server) as client:
        client.sendall(head.encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content))
        assert client.recv(100).startswith(b"HTTP/1.1 411 ")


def test_of_a_refused_request_not_all_is_read(server: Served):
    sent = 0
    with connect(server) as client:
        client.sendall(b"POST /invocations HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n")
        client.sendall(b"content-length: 1000000000000\r\n\r\n")
        with suppress(ConnectionError):
            while sent < 8 * MAX_DRAINED:
                sent += client.send(bytes(1 << 20))
    assert MAX_DRAINED < sent < 2 * MAX_DRAINED


def test_large_requests_at_the_same_moment_are_limited(server: Served):
    """Four of the largest size are let in; another is sent away until they have been answered."""
    content = json.dumps({"inputs": [IMAGE]}).encode().ljust(MAX_BYTES)
    names = {
        "host": "here",
        "content-length": str(MAX_BYTES),
        "expect": "100-continue",
        "connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in (JSON | names).items())
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(MAX_TOGETHER // MAX_BYTES)]
        for client in clients:
            client.sendall(f"POST /invocations HTTP/1.1\r\n{head}\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 100 ")  # it waits for the body
        other = ask(server, {"inputs": [IMAGE]})
        assert (other.status_code, other.headers["retry-after"]) == (503, "1")
        assert requests.get(f"{server.url}/ping", timeout=30).ok
        for client in clients:
            client.sendall(content)
        assert all(client.recv(100).startswith(b"HTTP/1.1 200 ") for client in clients)
    assert ask(server, content).ok


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_many_large_requests_do_not_fill_the_memory(server: Served):
    """The pod's limit is 2 GiB, of which TensorFlow takes 0.8."""
    content = json.dumps({"inputs": [[[0] * 28] * 28] * 2570}, separators=(",", ":")).encode()
    assert 0.99 < len(content) / MAX_BYTES < 1  # of small numbers, which take the most memory
    with ThreadPoolExecutor(16) as pool:
        statuses = {each.status_code for each in pool.map(lambda _: ask(server, content), range(16))}
    assert statuses == {200, 503}
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0])  # KiB
    assert peak < 1.7 * 2**20


def test_a_pod_that_is_about_to_end_closes_connections(server: Served):
    """So that a client does not send its next request on a connection that is closed meanwhile."""
    draining = server.temporary / "draining"
    assert "connection" not in ask(server, {"inputs": [IMAGE]}).headers
    draining.touch()
    assert ask(server, {"inputs": [IMAGE]}).headers["connection"] == "close"
    draining.unlink()


@pytest.mark.slow
def test_workers_serve_the_version_that_was_found_and_end_on_sigterm(registry: Registry, tmp_path: Path):
    options = ["--model", NAME, "--version", "1", "--workers", "2"]
    with serving(root_of(registry), tmp_path, options) as served:
        answer = ask(served, {"inputs": [IMAGE]})
        assert (answer.status_code, answer.headers["x-model-version"]) == (200, "1")
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) in (0, -signal.SIGTERM)


def test_a_damaged_model_is_named_and_not_served(registry: Registry):
    champion = registry.read().versions[2]
    registry.client.set_model_version_tag(NAME, "2", FILE_TAG, "0" * 64)
    command = [sys.executable, "-m", "pipeline.cli.main", "serve", "--model", NAME]
    root = root_of(registry)
    environment = environment_of(root) | {"PYTHONPATH": str(Path.cwd())}
    try:
        ended = subprocess.run(
            command, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    finally:
        registry.client.set_model_version_tag(NAME, "2", FILE_TAG, champion.tags[FILE_TAG])
    assert ended.returncode == 1
    assert "has the SHA-256" in ended.stderr
    assert "Traceback" not in ended.stderr
