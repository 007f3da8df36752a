"""The command `fashion serve`: the REST API."""

from __future__ import annotations

import os

import click

from pipeline.cli.models import NUMBER, model_option
from pipeline.project import Project, project_root
from pipeline.serving import MODEL, VERSION


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, help="The port to listen on.")
@click.option(
    "--version", "number", type=NUMBER, envvar=VERSION, help="Another version. [default: the champion]"
)
@click.option("--workers", default=1, type=click.IntRange(1, 64), show_default=True, help="Processes.")
@model_option
def serve(host: str, port: int, number: int | None, workers: int, model: str | None) -> None:
    """Serves the champion over HTTP, by MLflow's scoring server: raw images to probabilities."""
    import uvicorn

    from pipeline.serving.app import make_app
    from pipeline.serving.model import find_version, load
    from pipeline.tracking.experiment import refusals

    project = Project(project_root())
    name = model or os.environ.get(MODEL) or project.params().register_.model_name
    with refusals():
        registry, version = find_version(project.root, name, number)
        loaded = load(registry, version)
    address = f"http://{host}:{port}"
    height, width = loaded.image_size
    click.echo(
        f"{name} version {version.version} at {address} (Ctrl-C ends it)\n"
        "/invocations: images to probabilities; /info: version and classes; /ping: health. For example:\n"
        f"""python3 -c 'import json; print(json.dumps({{"inputs": [[[0] * {width}] * {height}]}}))' |"""
        f" curl --json @- {address}/invocations"
    )
    os.environ |= {MODEL: name, VERSION: str(version.version)}  # for the workers
    app = make_app(loaded) if workers == 1 else "pipeline.serving.app:create_app"
    uvicorn.run(
        app,
        factory=workers > 1,
        host=host,
        port=port,
        workers=workers,
        log_level="warning",
        timeout_graceful_shutdown=30,
    )
