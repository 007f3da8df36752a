"""The app of the REST API: MLflow's own, with limits, the version in each answer, and /info."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.registry.model import LoadedModel
from components.registry.registry import WEIGHTS_TAG
from pipeline.registry.champion import find_version
from pipeline.serving import DRAINING, MODEL, VERSION
from pipeline.serving.model import ImageModel, load

if TYPE_CHECKING:
    from fastapi import FastAPI, Request
    from starlette.datastructures import Headers
    from starlette.responses import JSONResponse

MAX_BYTES = 4 << 20
"""The largest request: 1,250 to 2,500 images as JSON."""
MAX_TOGETHER = 4 * MAX_BYTES
"""The largest sum of requests at the same moment, since JSON takes many times its size in memory."""
MAX_DRAINED, DRAIN_SECONDS = 64 << 20, 10
"""How much of a refused request is read, and for how long, so that its client gets to read the answer."""
MAX_REASON = 2000
"""The longest body of an error: MLflow repeats what it could not read."""


def create_app() -> FastAPI:
    """The app of a worker process, with the version that the environment names."""
    return make_app(load(*find_version(Path.cwd(), os.environ[MODEL], int(os.environ[VERSION]))))


def make_app(model: LoadedModel) -> FastAPI:
    """MLflow's app for a loaded version; it is warm when this returns."""
    import numpy as np
    from mlflow.pyfunc import scoring_server
    from starlette.datastructures import MutableHeaders

    np.set_printoptions(threshold=8, edgeitems=1)  # MLflow's error messages repeat the array
    draining = Path(os.environ[DRAINING]) if DRAINING in os.environ else None
    app: FastAPI = scoring_server.init(ImageModel(model))
    # FastAPI's own pages know nothing of what a request and its answer hold.
    pages = {app.openapi_url, app.docs_url, app.swagger_ui_oauth2_redirect_url, app.redoc_url}
    app.router.routes = [route for route in app.routes if getattr(route, "path", "") not in pages]
    info = model.facts | {
        "weights_digest": model.version.tags[WEIGHTS_TAG],
        "image_size": model.image_size,
        "classes": model.classes,
        "max_bytes": MAX_BYTES,
    }
    app.get("/info")(lambda: info)
    app.add_exception_handler(RecursionError, lambda *_: _refusal(400, "the JSON is nested too deeply"))
    app.add_exception_handler(ValueError, lambda *_: _refusal(400, "the JSON holds what cannot be read"))
    under_way = 0

    @app.middleware("http")
    async def limit(request: Request, call_next: Any) -> Any:
        """Refuses what MLflow would answer with status 500, with a traceback, or not for minutes."""
        nonlocal under_way
        is_post, close = request.method == "POST", draining is not None and draining.exists()
        answer = _fault(request.headers, MAX_TOGETHER - under_way) if is_post else None
        if answer:
            close |= not await _drain(request)
        else:
            if is_post:  # MLflow compares it with regard to case
                MutableHeaders(scope=request.scope)["content-type"] = request.headers["content-type"].lower()
            size = int(request.headers["content-length"]) if is_post else 0
            under_way += size
            try:
                answer = await call_next(request)
            finally:
                under_way -= size
        if answer.status_code >= 400 and int(answer.headers.get("content-length", 0)) > MAX_REASON:
            text = b"".join([part async for part in answer.body_iterator]).decode(errors="replace")
            with suppress(ValueError, KeyError):  # some of MLflow's are plain text
                text = json.loads(text)["message"]
            half = MAX_REASON // 2  # what could not be read is repeated in the middle
            answer = _refusal(answer.status_code, f"{text[:half]} … {text[-half:]}")
        answer.headers["x-model-version"] = str(model.version.version)
        if close:
            answer.headers["connection"] = "close"
        return answer

    return app


def _refusal(status: int, message: str) -> JSONResponse:
    """An answer in the form of MLflow's errors."""
    from starlette.responses import JSONResponse

    return JSONResponse({"error_code": "INVALID_PARAMETER_VALUE", "message": message}, status)


def _fault(headers: Headers, free: int) -> Any:
    """The answer to a request that is wrong by its headers, or has more bytes than are free; None else."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return _refusal(415, "send JSON: the header content-type must be application/json")
    length = headers.get("content-length", "")
    if not length.isdecimal() or "transfer-encoding" in headers:  # which counts, where there are both
        return _refusal(411, "send the header content-length, and no transfer-encoding")
    if int(length) > MAX_BYTES:
        return _refusal(413, f"the request has {length} bytes, the limit is {MAX_BYTES}: send fewer images")
    if int(length) > free:
        answer = _refusal(503, "other large requests are under way: send this one again")
        answer.headers["retry-after"] = "1"
        return answer
    return None


async def _drain(request: Request) -> bool:
    """Reads what a client sends before it reads the answer; False if that is too much or takes too long."""
    from starlette.requests import ClientDisconnect

    left = MAX_DRAINED
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in request.stream():
                left -= len(part)
                if left < 0:
                    return False
    except (TimeoutError, ClientDisconnect):
        return False
    return True
