"""The command `fashion serve`: the REST API."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import click

from components.common.errors import PipelineError
from pipeline.cli.models import NUMBER, model_option
from pipeline.project import Project, project_root
from pipeline.serving import DRAINING, MODEL, VERSION


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", default=8080, type=click.IntRange(0, 65535), show_default=True, help="The port to listen on."
)
@click.option(
    "--version", "number", type=NUMBER, envvar=VERSION, help="Another version. [default: the champion]"
)
@click.option("--workers", default=1, type=click.IntRange(1, 64), show_default=True, help="Processes.")
@model_option
def serve(host: str, port: int, number: int | None, workers: int, model: str | None) -> None:
    """Serves the champion over HTTP, by MLflow's scoring server: raw images to probabilities."""
    import uvicorn

    from pipeline.registry.champion import find_version
    from pipeline.serving.app import make_app
    from pipeline.serving.model import load
    from pipeline.tracking.experiment import refusals

    project = Project(project_root())
    name = model or os.environ.get(MODEL) or project.params().register_.model_name
    with refusals():
        registry, version = find_version(project.root, name, number)
        loaded = load(registry, version)
    listener = listen(host, port)
    address = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
    height, width = loaded.image_size
    click.echo(
        f"{name} version {version.version} at {address} (Ctrl-C ends it)\n"
        "/invocations: images to probabilities; /info: version and classes; /ping: health. For example:\n"
        f"""python3 -c 'import json; print(json.dumps({{"inputs": [[[0] * {width}] * {height}]}}))' |"""
        f" curl --json @- {address}/invocations"
    )
    os.environ |= {MODEL: name, VERSION: str(version.version)}  # for the workers
    if DRAINING in os.environ:
        Path(os.environ[DRAINING]).unlink(missing_ok=True)  # of an earlier container of the pod
    app = make_app(loaded) if workers == 1 else "pipeline.serving.app:create_app"
    uvicorn.run(
        app,
        factory=workers > 1,
        fd=listener.fileno(),
        workers=workers,
        log_level="warning",
        timeout_graceful_shutdown=30,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens, before an address is announced; uvicorn's own error has no hint.

    Raises:
        PipelineError: The port is in use or not allowed, or the host is not of this machine.
    """
    try:
        where = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)[0]
        listener = socket.socket(*where[:3])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each connection gets it from here
        listener.bind(where[4])
        listener.listen()
    except OSError as error:
        raise PipelineError(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            "name a free port by --port, and an address of this machine by --host (0.0.0.0: all of them)",
        ) from None
    return listener
