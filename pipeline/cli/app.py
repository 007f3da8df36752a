"""The command `fashion app`."""

from __future__ import annotations

import errno
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from components.common import idx
from components.common.errors import PipelineError
from pipeline.project import Project, project_root

PAGES = Path(__file__).parents[2] / "app" / "main.py"
PORT, PORTS_TRIED = 8501, 20
SETTINGS = {
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "logger.hideWelcomeMessage": "true",  # to print it, Streamlit would ask a web site for the address
    "server.baseUrlPath": "",  # this and TLS would make another address than the one that is printed
    "server.enableCORS": "true",
    "server.enableXsrfProtection": "true",
    "server.fileWatcherType": "none",
    "server.headless": "true",
    "server.maxUploadSize": "200",
    "server.sslCertFile": "",
    "server.sslKeyFile": "",
    "theme.light.primaryColor": "#4f46e5",
    "theme.dark.primaryColor": "#818cf8",
}
"""Of Streamlit; they hold whatever files of settings a user has."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Who may connect; 0.0.0.0: everybody.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help=f"[default: {PORT}, or the next one that is free]"
)
def app(host: str, port: int | None) -> None:
    """Starts the app in which people try the champion, in a browser."""
    if find_spec("streamlit") is None:
        raise PipelineError("the app's packages are not installed", "run `make setup`")
    project = Project(project_root())
    project.params()
    for split in idx.SPLITS:
        idx.read_split(project.data, split)
    from components.registry.model import champion_version
    from pipeline.registry.versions import open_registry
    from pipeline.tracking.experiment import refusals

    with refusals():
        champion = champion_version(open_registry(project.root, project.params().register_.model_name))
    port = free_port(host, port)
    address = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104 (compared, not bound)
    click.echo(f"champion: {champion.name} version {champion.version}")
    click.echo(f"app: http://{address}:{port} (Ctrl-C ends it)")
    sys.stdout.flush()
    options = SETTINGS | {"server.address": host, "server.port": str(port)}
    os.chdir(project.root)
    arguments = [f"--{name}={value}" for name, value in options.items()]
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(PAGES), *arguments])


def free_port(host: str, port: int | None) -> int:
    """The port that is asked for, or the first free one from `PORT` on.

    Raises:
        PipelineError: It is taken, or the host is not one of this machine.
    """
    for candidate in (port,) if port else range(PORT, PORT + PORTS_TRIED):
        try:
            with socket.create_server((host, candidate)):
                return candidate
        except OSError as error:
            taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
            reason = str(error.strerror).partition(" (while")[0]
            if error.errno != errno.EADDRINUSE:
                break
    asked = f"port {port}" if port else f"the ports {PORT} to {PORT + PORTS_TRIED - 1}"
    raise PipelineError(
        f"{asked} of {host} cannot be used: {reason}",
        "name another one: `fashion app --port PORT`"
        if taken
        else "name an IPv4 address of this machine: `fashion app --host ADDRESS`",
    )
