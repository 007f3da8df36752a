"""Where runs and models are kept: the server of MLFLOW_TRACKING_URI, or a folder of the project."""

import logging
import os
import subprocess
from pathlib import Path

from filelock import FileLock

from components.common.errors import MLFLOW_SETTING, TrackingError, first_line, redacted

FOLDER = "mlruns"
RUN_ID = "FASHION_RUN_ID"
"""The variable that names the pipeline run that a step belongs to."""
HEALTH_TIMEOUT_SECONDS = 4
CODE_ROOT = Path(__file__).parents[1]


def project_root() -> Path:
    """The folder of `params.yaml`: here, or the nearest parent that has one."""
    here = Path.cwd()
    return next((p for p in (here, *here.parents) if (p / "params.yaml").is_file()), here)


def store_folder(root: Path) -> Path:
    """The embedded store.

    DVC runs queued experiments in a copy of the project below `.dvc/tmp/exps`; they share the original's.
    """
    for parent in root.parents:
        if parent.parts[-3:] == (".dvc", "tmp", "exps"):
            return parent.parents[2] / FOLDER
    return root / FOLDER


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or SQLite in the embedded store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _embedded_uri(root)


def is_embedded(root: Path) -> bool:
    """Whether runs are kept in the project's own store.

    The variable alone does not say: MLflow sets it itself, for what the process starts.
    """
    return tracking_uri(root) == _embedded_uri(root)


def _embedded_uri(root: Path) -> str:
    return f"sqlite:///{store_folder(root) / 'mlflow.db'}"


def display_uri(uri: str) -> str:
    """The address without user name and password."""
    return redacted(uri)


def check_server(uri: str) -> None:
    """Asks a server whether it is there, in seconds, where MLflow would retry for a minute.

    Raises:
        TrackingError: Nothing answers at that address.
    """
    if not uri.startswith(("http://", "https://")):
        return
    import requests

    try:
        response = requests.get(f"{uri.rstrip('/')}/health", timeout=HEALTH_TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise TrackingError(
            f"the MLflow server at {display_uri(uri)} cannot be reached ({type(error).__name__})",
            "start it, or mend MLFLOW_TRACKING_URI; without that variable runs are kept in mlruns/",
            f"start it, or mend {MLFLOW_SETTING}; what the network policies let the pods reach is in "
            "infra/kubernetes/README.md",
        ) from None
    if response.status_code >= 500:
        raise TrackingError(
            f"the MLflow server at {display_uri(uri)} answers {response.status_code}",
            "look at the server's log",
        )


def open_store(root: Path) -> str:
    """Makes the store ready for use and returns its address.

    Raises:
        TrackingError: The server cannot be reached, or the store cannot be opened.
    """
    uri = tracking_uri(root)
    check_server(uri)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # The address of a run that it prints has the user's name and password in it.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        if is_embedded(root):
            folder = store_folder(root)
            folder.mkdir(exist_ok=True)
            # Two experiments at once must not both create the tables.
            with FileLock(folder / ".lock"):
                mlflow.set_tracking_uri(uri)
                mlflow.MlflowClient().search_experiments(max_results=1)
        else:
            mlflow.set_tracking_uri(uri)
            mlflow.MlflowClient()
    except (MlflowException, SQLAlchemyError, OSError, ImportError, ValueError) as error:
        raise TrackingError(
            f"{display_uri(uri)} cannot be opened: {first_line(error)}",
            "set MLFLOW_TRACKING_URI to http://HOST:PORT or sqlite:///FILE, or unset it",
            f"set {MLFLOW_SETTING} to http://HOST:PORT",
        ) from None
    return uri


def git_version() -> dict[str, str]:
    """The commit of the code that runs, and whether it or its parameters differ (in an image: it alone).

    Empty without git.

    What the pipeline itself writes (lock, metrics) does not make the code dirty.
    """
    commit = _git("rev-parse", "HEAD")
    if commit is None:  # an image has no git, but the commit that it was built from
        commit, dirty, _ = os.environ.get("FASHION_COMMIT", "").partition("-dirty-")
        return {"mlflow.source.git.commit": commit, "git.dirty": str(bool(dirty)).lower()} if commit else {}
    code = ("components", "pipeline", "params.yaml", "dvc.yaml", "data.dvc", "pyproject.toml", "requirements")
    return {"mlflow.source.git.commit": commit, "git.dirty": str(is_changed(*code)).lower()}


def is_changed(*paths: str) -> bool:
    """Whether a file of the code is not as committed."""
    return bool(_git("status", "--porcelain", "--untracked-files=all", "--", *paths))


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=CODE_ROOT, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
