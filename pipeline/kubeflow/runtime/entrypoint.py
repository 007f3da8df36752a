"""Runs a step in a pod, or in KFP's local runner: its folders are KFP artifacts."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import MLFLOW_SETTING, PipelineError, StorageError, TrackingError, first_line
from pipeline.kubeflow.runtime.environment import CONFIG_MAP, LOCAL, SECRET, STATE_URL
from pipeline.kubeflow.runtime.step_parameters import code_version, params_from_json
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus
from pipeline.project import Project
from pipeline.steps import run_step

if TYPE_CHECKING:
    from kfp import dsl

TERMINATION_LOG = Path("/dev/termination-log")
"""Kubernetes shows what a container wrote there as the reason of its end."""
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""The file that holds the pod's namespace."""


def run(step: str, code: str, params: str, remote: str = "", **artifacts: dsl.Artifact) -> None:
    """Runs one of the steps `STEP_NAMES`.

    Args:
        step: The step.
        code: Version of the code that the pipeline run was submitted for.
        params: The step's parameters, JSON of `step_parameters`.
        remote: The DVC remote, for a step that may need other data, too.
        artifacts: What the step reads and writes, by the step that writes it; the data is `data`.
    """
    checked, candidate = params_from_json(params)
    with status_kept(f"{step} {candidate}".strip(), code) as lines, tempfile.TemporaryDirectory() as root:
        check_tracking_server()
        places = {name: Path(artifact.path) for name, artifact in artifacts.items()}
        state = f"{os.environ[STATE_URL].rstrip('/')}/checkpoints"
        project = Project(Path(root), places, state, remote)
        lines.append(run_step(step, project, checked))


def check_tracking_server() -> None:
    """Refuses to run without an MLflow server: what the pod records in its own files is lost with it.

    Raises:
        TrackingError: MLFLOW_TRACKING_URI is not set.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise TrackingError("MLFLOW_TRACKING_URI is not set", f"set {MLFLOW_SETTING} to the server's address")


@contextmanager
def status_kept(step: str, code: str) -> Iterator[list[str]]:
    """Stores the status of a step; if it raises a `PipelineError`, ends the process with the exit code.

    Refuses to run other code than the version `code`, for which the pipeline run was submitted. Yields a list
    that receives the lines of the step's result.
    """
    lines: list[str] = []
    store, status = None, StepStatus(step, time.time())
    try:
        store = StatusStore()
        _refuse_hopeless_retry(store, step)
        store.write(status)
        if code != code_version():
            raise PipelineError(
                f"this image holds the code {code_version()[:12]}, the run was submitted for {code[:12]}",
                "build the image of the code that you submit: `make image`, and name it by --image",
            )
        yield lines
    except PipelineError as error:
        hint = _hint(error)
        _print_error(f"error: {error}\nwhat to do: {hint}" if hint else f"error: {error}")
        if store:
            final = not isinstance(error, (StorageError, TrackingError))
            store.close(status, state="failed", error=str(error), hint=hint, final=final)
        sys.exit(error.exit_code)
    except BaseException as error:
        if store:
            store.close(status, state="failed", error=f"{type(error).__name__}: {first_line(error)}")
        raise
    print(*lines, sep="\n")
    store.close(status, state="done", line="\n".join(lines))


def _hint(error: PipelineError) -> str:
    """What to do about an error: in the local runner, or in a pod of a cluster."""
    if os.environ.get(LOCAL):
        return error.hint
    hint = error.cluster_hint
    if NAMESPACE.is_file() and any(name in hint for name in (CONFIG_MAP, SECRET)) and "namespace" not in hint:
        hint += f" (in the namespace {NAMESPACE.read_text(encoding='utf-8').strip()})"
    return hint


def _refuse_hopeless_retry(store: StatusStore, step: str) -> None:
    """Repeats the error of the last try where a retry would fail in the same way."""
    if os.environ.get("KFP_RETRY_INDEX", "0") in ("", "0"):
        return
    last = store.read(step)
    if last and last.state == "failed" and last.final:
        raise PipelineError(last.error, last.hint)


def _print_error(text: str) -> None:
    print(text, file=sys.stderr)
    with suppress(OSError):  # the text is on stderr already
        if TERMINATION_LOG.exists():
            TERMINATION_LOG.write_text(text[:4000], encoding="utf-8")
