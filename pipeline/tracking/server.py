"""Checks that an MLflow server can be used: within seconds, and before long work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.common.errors import MLFLOW_SETTING, TrackingError, first_line, redacted
from pipeline.tracking.settings import configure_mlflow

if TYPE_CHECKING:
    from requests import Response

TIMEOUT_SECONDS = 4
OLDEST_MAJOR = 3
"""The first MLflow with logged models; each version in the registry is made of one."""
API = "/api/2.0/mlflow"


class RefusedError(TrackingError):
    """The server answers 401 or 403."""


def is_server(uri: str) -> bool:
    """Whether a tracking URI is that of a server."""
    return uri.lower().startswith(("http://", "https://"))


def check_server(
    uri: str, login: tuple[str, str] | None = None, variable: str = "MLFLOW_TRACKING_URI"
) -> None:
    """Checks that a server can be used by this project; the URI of a database is not checked.

    The requests are made by MLflow's own client, but without its retries, so that they use the same
    credentials (in the environment and in `~/.mlflow/credentials`), certificates, proxies and plugins.

    Args:
        uri: A tracking URI.
        login: User name and password, if not those of the environment.
        variable: The environment variable that the URI is from.

    Raises:
        RefusedError: It answers 401 or 403.
        TrackingError: The URI has no scheme, the server cannot be reached, is not MLflow, or is too old.
    """
    if "://" not in uri and uri != "databricks":
        raise TrackingError(
            f"{variable} is {redacted(uri)!r}, which is no address of MLflow",
            "write it with its scheme: http://HOST:PORT, or sqlite:///FILE",
            "write it with its scheme, http://HOST:PORT, into the ConfigMap fashion-config",
        )
    if not is_server(uri):
        return
    version = _get(uri, "/version", login, variable).text.strip()
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) < OLDEST_MAJOR:
        raise TrackingError(
            f"the MLflow server at {redacted(uri)} is of version {version}, which has no logged models",
            f"use a server of MLflow {OLDEST_MAJOR} or newer",
        )
    # /version needs no login, and other programs may have that page, too.
    answer = _get(uri, f"{API}/experiments/search", login, variable, params={"max_results": "1"})
    try:
        is_mlflow = answer.ok and isinstance(answer.json(), dict)
    except ValueError:
        is_mlflow = False
    if not is_mlflow:
        raise TrackingError(
            f"{redacted(uri)} answers {answer.status_code}, but not as MLflow does",
            f"set {variable} to the address of MLflow, http://HOST:PORT",
            f"set {MLFLOW_SETTING} to the address of MLflow, http://HOST:PORT",
        )


def experiment_page(address: str, experiment_id: str) -> str:
    """The page of an experiment in MLflow's UI, or of all experiments if the id is empty.

    The parameter `workflowType` is needed in a browser that has not opened MLflow before: MLflow 3.17 then
    ignores the experiment's tag `mlflow.experimentKind` and shows its view of language models.
    """
    path = f"experiments/{experiment_id}" if experiment_id else "experiments"
    return f"{redacted(address).rstrip('/')}/#/{path}?workflowType=machine_learning"


def sees_artifact(uri: str, run_id: str, folder: str, name: str) -> bool:
    """Whether the server itself finds an artifact of a run.

    Raises:
        TrackingError: The server cannot be reached.
    """
    answer = _get(uri, f"{API}/artifacts/list", params={"run_id": run_id, "path": folder})
    files = answer.json().get("files", []) if answer.ok else []
    return f"{folder}/{name}" in [file["path"] for file in files]


def _get(
    uri: str,
    path: str,
    login: tuple[str, str] | None = None,
    variable: str = "MLFLOW_TRACKING_URI",
    params: dict[str, str] | None = None,
) -> Response:
    configure_mlflow()
    import requests
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    server = f"the MLflow server at {redacted(uri)}"
    try:
        credentials = get_default_host_creds(uri)
        if login:
            credentials.username, credentials.password = login
            credentials.token = credentials.auth = None
        options = {"max_retries": 0, "timeout": TIMEOUT_SECONDS, "raise_on_status": False, "params": params}
        answer: Response = http_request(credentials, path, "GET", **options)
    # A wrong setting raises the exception of whatever library reads it.
    except (MlflowException, OSError, ImportError, ValueError) as error:
        cause = error.__cause__ or error.__context__ or error
        if isinstance(cause, requests.exceptions.SSLError):
            raise TrackingError(
                f"the certificate of {server} is not trusted",
                "set MLFLOW_TRACKING_SERVER_CERT_PATH to the file of its certificate authority",
                "build an image from this one with the file of its certificate authority, and with "
                "ENV MLFLOW_TRACKING_SERVER_CERT_PATH set to it",
            ) from None
        if not isinstance(cause, requests.RequestException):
            raise TrackingError(
                f"MLflow's settings for {server} are wrong: {first_line(cause)}",
                "correct the variable MLFLOW_… that the message is about",
                "correct the variable MLFLOW_… that the message is about, in the image, ConfigMap or Secret",
            ) from None
        embedded = "; without that variable runs are kept in mlruns/" * (variable == "MLFLOW_TRACKING_URI")
        raise TrackingError(
            f"{server} cannot be reached ({type(cause).__name__})",
            f"start it, or correct {variable}{embedded}",
            f"start it, or correct {MLFLOW_SETTING}; what the network policies let the pods reach is in "
            "infra/kubernetes/README.md",
        ) from None
    if answer.status_code in (401, 403):
        raise RefusedError(
            f"{server} answers {answer.status_code}",
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; "
            "or add the host to the server's --allowed-hosts",
            "put MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD into the Secret fashion-storage; "
            "or add the host to the server's --allowed-hosts",
        )
    if answer.status_code >= 500:
        raise TrackingError(f"{server} answers {answer.status_code}", "look at the server's log")
    return answer
