"""The app of the REST API: MLflow's own, with limits, the version in each answer, and /info."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.registry.model import LoadedModel
from components.registry.registry import DATA_TAG, WEIGHTS_TAG
from pipeline.serving import MODEL, VERSION
from pipeline.serving.model import ImageModel, find_version, load

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.responses import JSONResponse
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BYTES = 16 << 20
"""The largest request: 5,000 to 10,000 images as JSON."""
DRAINING = Path(tempfile.gettempdir()) / "fashion-draining"
"""While this file exists, each answer closes its connection: a pod that is about to end makes it."""


def create_app() -> FastAPI:
    """The app of a worker process, with the version that the environment names."""
    return make_app(load(*find_version(Path.cwd(), os.environ[MODEL], int(os.environ[VERSION]))))


def make_app(model: LoadedModel) -> FastAPI:
    """MLflow's app for a loaded version; it is warm when this returns."""
    import numpy as np
    from mlflow.pyfunc import scoring_server

    np.set_printoptions(threshold=8, edgeitems=1)  # MLflow's error messages repeat the array
    DRAINING.unlink(missing_ok=True)
    app: FastAPI = scoring_server.init(ImageModel(model))
    version = model.version
    info = {
        "model": version.name,
        "version": int(version.version),
        "weights_digest": version.tags[WEIGHTS_TAG],
        "data_version": version.tags.get(DATA_TAG),
        "test_accuracy": float(version.tags["test_accuracy"]),
        "image_size": model.image_size,
        "classes": model.classes,
        "max_bytes": MAX_BYTES,
    }
    app.get("/info")(lambda: info)
    app.add_exception_handler(RecursionError, lambda *_: _refusal(400, "the JSON is nested too deeply"))
    app.add_middleware(Limits, version=str(version.version))  # type: ignore[arg-type]
    return app


def _refusal(status: int, message: str) -> JSONResponse:
    """An answer in the form of MLflow's errors."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": message}, status)


class Limits:
    """Refuses what MLflow's app would answer with status 500, a traceback, or not for minutes.

    Adds the header `x-model-version` to each answer, and closes connections while the pod is draining.
    """

    def __init__(self, app: ASGIApp, version: str) -> None:
        self.app, self.version = app, version

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        from starlette.datastructures import Headers, MutableHeaders

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["x-model-version"] = self.version
                if DRAINING.exists():
                    headers["connection"] = "close"
            await send(message)

        app: Any = self.app
        if scope["type"] == "http" and scope["path"] == "/invocations" and scope["method"] == "POST":
            app = _fault(Headers(scope=scope)) or app
            if app is not self.app:  # a client sends all of its request before it reads the answer
                while (await receive()).get("more_body"):
                    pass
        await app(scope, receive, answer)


def _fault(headers: Any) -> JSONResponse | None:
    """What is wrong with a request by its headers."""
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _refusal(415, "send JSON: the header content-type must be application/json")
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return _refusal(411, "the header content-length is missing")
    if int(length) > MAX_BYTES:
        return _refusal(413, f"the request has {length} bytes, the limit is {MAX_BYTES}: send fewer images")
    return None
