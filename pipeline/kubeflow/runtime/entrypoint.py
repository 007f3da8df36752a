"""Runs a step in its pod, or in KFP's local runner, and stores its status."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from components.common.errors import MLFLOW_SETTING, PipelineError, StorageError, TrackingError, first_line
from pipeline.kubeflow.runtime.environment import CONFIG_MAP, LOCAL, SECRET, STATE_URL
from pipeline.kubeflow.runtime.step_parameters import code_version, params_from_json
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus
from pipeline.project import Project
from pipeline.steps import run_step

TERMINATION_LOG = Path("/dev/termination-log")
"""Kubernetes shows the content of this file as the reason why a container ended."""
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Holds the namespace of the pod."""


def run(step: str, code: str, params: str, **folders: str) -> None:
    """Runs a step.

    Args:
        step: One of `STEP_NAMES`.
        code: Version of the code that the pipeline run was submitted for.
        params: The step's parameters, JSON of `step_parameters`.
        folders: Path of each artifact that the step reads or writes, by the step that writes it.
    """
    checked, candidate = params_from_json(params)
    with status_kept(f"{step} {candidate}".strip(), code) as lines, tempfile.TemporaryDirectory() as root:
        check_tracking_server()
        places = {name: Path(path) for name, path in folders.items()}
        project = Project(Path(root), places, f"{os.environ[STATE_URL].rstrip('/')}/checkpoints")
        lines.append(run_step(step, project, checked))


def check_tracking_server() -> None:
    """Refuses to run without an MLflow server: a store in the pod would be lost with the pod.

    Raises:
        TrackingError: MLFLOW_TRACKING_URI is not set.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise TrackingError("MLFLOW_TRACKING_URI is not set", f"set {MLFLOW_SETTING} to the server's address")


@contextmanager
def status_kept(step: str, code: str) -> Iterator[list[str]]:
    """Stores the status of a step, and ends the process with an exit code when the user can mend its fault.

    Args:
        step: The step; of a sweep's trainings with the candidate.
        code: Version of the code that the pipeline run was submitted for.

    Yields:
        A list that receives the lines of the step's result.
    """
    lines: list[str] = []
    store, status = None, StepStatus(step, time.time())
    try:
        store = StatusStore()
        _end_hopeless_retry(store, step)
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
    """What to do about the error: on a machine in the local runner, else on a cluster."""
    if os.environ.get(LOCAL):
        return error.hint
    hint, named = error.cluster_hint, (CONFIG_MAP, SECRET)
    if NAMESPACE.is_file() and any(name in hint for name in named) and "namespace" not in hint:
        hint += f" (in the namespace {NAMESPACE.read_text(encoding='utf-8').strip()})"
    return hint


def _end_hopeless_retry(store: StatusStore, step: str) -> None:
    """Ends a retry at once when the last attempt failed for a reason that a retry does not remove."""
    if os.environ.get("KFP_RETRY_INDEX", "0") in ("", "0"):
        return
    last = store.read(step)
    if last and last.state == "failed" and last.final:
        raise PipelineError(last.error, last.hint)


def _print_error(text: str) -> None:
    print(text, file=sys.stderr)
    with suppress(OSError):  # the step's log has it, too
        if TERMINATION_LOG.exists():
            TERMINATION_LOG.write_text(text[:4000], encoding="utf-8")
