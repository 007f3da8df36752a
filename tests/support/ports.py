"""Ports of this machine, and servers that listen there."""

import socket
import subprocess
import time
import urllib.request


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_http(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Waits until a server answers, and fails when its process ends or time is up."""
    deadline = time.monotonic() + seconds
    while True:
        assert process.poll() is None, f"the server of {url} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{url} does not answer"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
