"""A step inside a pod (or inside KFP's local runner): its folders are KFP's artifacts."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.common.errors import MLFLOW_SETTING, PipelineError, StorageError, TrackingError, first_line
from pipeline.kubeflow.runtime.environment import CONFIG_MAP, LOCAL, SECRET, STATE_URL
from pipeline.kubeflow.runtime.step_parameters import code_version, params_from_json
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus
from pipeline.project import Project
from pipeline.steps import run_step

TERMINATION_LOG = Path("/dev/termination-log")
"""Kubernetes shows what a container wrote there as the reason of its end."""
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""A pod's own namespace."""


def run(step: str, code: str, params: str, **folders: str) -> None:
    """Runs a step.

    Args:
        step: One of `STEP_NAMES`.
        code: The code that the pipeline run was submitted for.
        params: The step's parameters, as `form.step_json` made them.
        folders: Path of each artifact that the step reads or writes, by the step that writes it.
    """
    checked, candidate = params_from_json(params)
    with reported(f"{step} {candidate}".strip(), code) as lines, tempfile.TemporaryDirectory() as root:
        check_tracking_server()
        places = {name: Path(path) for name, path in folders.items()}
        project = Project(Path(root), places, f"{os.environ[STATE_URL].rstrip('/')}/checkpoints")
        lines.append(run_step(step, project, checked))


def check_tracking_server() -> None:
    """Refuses a pod that names no MLflow server: its runs would be lost with it.

    Raises:
        TrackingError: So it is.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        raise TrackingError("MLFLOW_TRACKING_URI is not set", f"set {MLFLOW_SETTING} to the server's address")


@contextmanager
def reported(step: str, code: str) -> Iterator[list[str]]:
    """Keeps a note of a step; a fault that the user can mend is two lines and an exit code.

    Args:
        step: The step.
        code: The code that the pipeline run was submitted for.

    Yields:
        What receives the step's result, in a line.
    """
    lines: list[str] = []
    notebook, note = None, StepStatus(step, time.time())
    try:
        notebook = StatusStore()
        _refuse_hopeless_retry(notebook, step)
        notebook.write(note)
        if code != code_version():
            raise PipelineError(
                f"this image holds the code {code_version()[:12]}, the run was submitted for {code[:12]}",
                "build the image of the code that you submit: `make image`, and name it by --image",
            )
        yield lines
    except PipelineError as error:
        hint = _hint(error)
        _say(f"error: {error}\nwhat to do: {hint}" if hint else f"error: {error}")
        if notebook:
            final = not isinstance(error, (StorageError, TrackingError))
            notebook.close(note, state="failed", error=str(error), hint=hint, final=final)
        sys.exit(error.exit_code)
    except BaseException as error:
        if notebook:
            notebook.close(note, state="failed", error=f"{type(error).__name__}: {first_line(error)}")
        raise
    print(*lines, sep="\n")
    notebook.close(note, state="done", line="\n".join(lines))


def _hint(error: PipelineError) -> str:
    """What to do about a fault here: on a machine, or in the pods of a cluster."""
    if os.environ.get(LOCAL):
        return error.hint
    hint, named = error.cluster_hint, (CONFIG_MAP, SECRET)
    if NAMESPACE.is_file() and any(name in hint for name in named) and "namespace" not in hint:
        hint += f" (in the namespace {NAMESPACE.read_text(encoding='utf-8').strip()})"
    return hint


def _refuse_hopeless_retry(notebook: StatusStore, step: str) -> None:
    """Ends a retry at once where the last try failed for a reason that does not go away by itself."""
    if os.environ.get("KFP_RETRY_INDEX", "0") in ("", "0"):
        return
    last = notebook.read(step)
    if last and last.state == "failed" and last.final:
        raise PipelineError(last.error, last.hint)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
    try:
        if TERMINATION_LOG.exists():
            TERMINATION_LOG.write_text(text[:4000], encoding="utf-8")
    except OSError:  # the log has it
        pass
