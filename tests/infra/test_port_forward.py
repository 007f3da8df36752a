"""`infra/kubernetes/port-forward`: begins again what ended, and leaves nothing behind."""

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.project import ROOT

KUBECTL = """#!/bin/sh
echo "$$ $*" >> "$LOG"
[ "$(grep -c " $*\\$" "$LOG")" -gt 1 ] || [ "$4" != service/mlflow ] || exit 1
exec sleep 1000
"""
"""Loses its first connection to MLflow at once, and holds the others."""


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_lost_way_is_opened_again_and_none_stays_at_the_end(tmp_path: Path, end: signal.Signals):
    log = tmp_path / "log"
    log.touch()
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    process = subprocess.Popen(
        # Started behind a shell's &, the tests would hand on that Ctrl-C is ignored.
        ["env", "--default-signal=INT", ROOT / "infra/kubernetes/port-forward"],
        env=os.environ | {"LOG": str(log), "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        start_new_session=True,
    )
    try:
        wait_for(lambda: len(log.read_text().splitlines()) == 4)
        calls = Counter(line.partition(" ")[2] for line in log.read_text().splitlines())
        assert calls == {
            "-n fashion port-forward service/mlflow 5000": 2,
            "-n fashion port-forward service/s3 9000": 1,
            "-n kubeflow port-forward service/ml-pipeline 8888": 1,
        }
        if end == signal.SIGINT:  # Ctrl-C goes to all of them
            os.killpg(process.pid, end)
        else:
            process.send_signal(end)
        assert process.wait(10) == 128 + end
        pids = [int(line.partition(" ")[0]) for line in log.read_text().splitlines()]
        assert not any(map(is_running, pids))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
