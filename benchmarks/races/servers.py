"""MLflow servers on SQLite and on PostgreSQL, in temporary folders."""

import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

DATABASES = ("sqlite", "postgresql")
WORKERS = 4
"""Processes of an MLflow server."""


@contextmanager
def serving(database: str) -> Iterator[str]:
    """An MLflow server with several processes, and its address.

    Args:
        database: `sqlite` or `postgresql`.
    """
    with TemporaryDirectory(prefix="races-") as name, _store(database, Path(name)) as store:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--workers", str(WORKERS), "--backend-store-uri", store]
        command += ["--artifacts-destination", f"{name}/artifacts", "--serve-artifacts"]
        variables = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (Path(name) / "server.log").open("wb") as log:
            server = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
        url = f"http://127.0.0.1:{port}"
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(OSError), wait=wait_fixed(0.5), stop=stop_after_delay(180)
            ):
                with attempt, urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310
                    pass
            yield url
        finally:
            os.killpg(server.pid, 9)
            server.wait()


def postgresql() -> Path | None:
    """Folder of PostgreSQL's programs: on the path, or where Debian has them; None if it is not installed."""
    found = shutil.which("initdb") or max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
    return Path(found).parent if found else None


@contextmanager
def _store(database: str, folder: Path) -> Iterator[str]:
    """The address of a new database."""
    programs = postgresql()
    if database == "sqlite" or not programs:
        yield f"sqlite:///{folder}/server.db"
        return
    # PostgreSQL does not run as root.
    user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with TemporaryDirectory(prefix="races-") as data:
        if user:
            shutil.chown(data, **user)
        create = [str(programs / "initdb"), "-D", data, "-U", "mlflow", "--auth", "trust"]
        control = [str(programs / "pg_ctl"), "-D", data, "-w", "-l", f"{data}/server.log"]
        options = f"-c listen_addresses='' -c unix_socket_directories='{data}'"
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "cwd": data, **user}
        subprocess.run(create, check=True, **quiet)
        subprocess.run([*control, "-o", options, "start"], check=True, **quiet)
        try:
            yield f"postgresql+psycopg://mlflow@/postgres?host={data}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet)
