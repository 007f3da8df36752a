"""Who changes the registry."""

import getpass
import os

from pipeline.tracking.server import is_server
from pipeline.tracking.store import RUN_ID


def system_user() -> str:
    """The user of this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def user(uri: str) -> str:
    """The user whom the server at a tracking URI knows, else this process's; and the pipeline run if any."""
    from mlflow.utils.credentials import get_default_host_creds

    name = (get_default_host_creds(uri).username if is_server(uri) else None) or system_user()
    run = os.environ.get(RUN_ID)
    if not run:
        return name
    return f"Kubeflow run {run}" if name == "unknown" else f"{name}, Kubeflow run {run}"
