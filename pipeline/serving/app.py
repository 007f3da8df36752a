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
    from fastapi import FastAPI, Request
    from starlette.datastructures import Headers
    from starlette.responses import JSONResponse

MAX_BYTES = 16 << 20
"""The largest request: 5,000 to 10,000 images as JSON."""
MAX_REASON = 2000
"""The longest body of an error: MLflow repeats what it could not read."""
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

    @app.middleware("http")
    async def limit(request: Request, call_next: Any) -> Any:
        """Refuses what MLflow would answer with status 500, with a traceback, or not for minutes."""
        answer = _fault(request.headers) if request.method == "POST" else None
        if answer:
            async for _ in request.stream():  # a client sends all of its request before it reads the answer
                pass
        else:
            answer = await call_next(request)
        if answer.status_code >= 400 and int(answer.headers.get("content-length", 0)) > MAX_REASON:
            text = b"".join([part async for part in answer.body_iterator])[:MAX_REASON]
            answer = _refusal(answer.status_code, text.decode(errors="replace"))
        answer.headers["x-model-version"] = str(version.version)
        if DRAINING.exists():
            answer.headers["connection"] = "close"
        return answer

    return app


def _refusal(status: int, message: str) -> JSONResponse:
    """An answer in the form of MLflow's errors."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": message}, status)


def _fault(headers: Headers) -> Any:
    """The answer to a request that is wrong by its headers; None for another."""
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return _refusal(415, "send JSON: the header content-type must be application/json")
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return _refusal(411, "the header content-length is missing")
    if int(length) > MAX_BYTES:
        return _refusal(413, f"the request has {length} bytes, the limit is {MAX_BYTES}: send fewer images")
    return None
