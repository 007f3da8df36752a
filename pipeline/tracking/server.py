"""The MLflow server: whether it can be used, asked in seconds and before long work starts."""

from __future__ import annotations

from typing import Any

from components.common.errors import MLFLOW_SETTING, TrackingError, first_line, redacted
from pipeline.tracking.settings import settle_mlflow

TIMEOUT_SECONDS = 4
OLDEST_MAJOR = 3
"""The first MLflow with logged models, of which the registry's versions are made."""
API = "/api/2.0/mlflow"


class RefusedError(TrackingError):
    """The server does not let this user in."""


def is_server(uri: str) -> bool:
    """Whether a tracking URI names a server, and no database."""
    return uri.lower().startswith(("http://", "https://"))


def check_server(
    uri: str, login: tuple[str, str] | None = None, variable: str = "MLFLOW_TRACKING_URI"
) -> None:
    """Asks a server whether this project can use it, where MLflow would retry for a minute.

    The requests are made by MLflow's own client, so that they see what it sees: credentials in the
    environment and in `~/.mlflow/credentials`, certificates, proxies, plugins for authentication.

    Args:
        uri: A tracking URI; a database is not looked at.
        login: Another user than the environment's, and the password.
        variable: The environment variable that it is from.

    Raises:
        RefusedError: It does not let this user in.
        TrackingError: It is no address, or nothing answers there, or not MLflow, or one that is too old.
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
    # A server with authentication tells its version to anybody, and other programs may have that page too.
    answer = _get(uri, f"{API}/experiments/search", login, variable, params={"max_results": "1"})
    try:
        known = answer.ok and isinstance(answer.json(), dict)
    except ValueError:
        known = False
    if not known:
        raise TrackingError(
            f"{redacted(uri)} answers {answer.status_code}, but not as MLflow does",
            f"set {variable} to the address of MLflow, http://HOST:PORT",
            f"set {MLFLOW_SETTING} to the address of MLflow, http://HOST:PORT",
        )


def experiment_page(address: str, experiment_id: str) -> str:
    """The page of an experiment in MLflow's UI, or of all where there is none yet, in the view of training.

    A browser that was not there before opens MLflow 3.17 in its view of language models, whatever the
    experiment's tag `mlflow.experimentKind` says.
    """
    place = f"experiments/{experiment_id}" if experiment_id else "experiments"
    return f"{redacted(address).rstrip('/')}/#/{place}?workflowType=machine_learning"


def sees_artifact(uri: str, run_id: str, folder: str, name: str) -> bool:
    """Whether a server, asked itself, finds an artifact of a run that this machine has written.

    Raises:
        TrackingError: The server does not answer.
    """
    answer = _get(uri, f"{API}/artifacts/list", params={"run_id": run_id, "path": folder})
    files = answer.json().get("files", []) if answer.ok else []
    return f"{folder}/{name}" in [file["path"] for file in files]


def _get(
    uri: str,
    path: str,
    login: tuple[str, str] | None = None,
    variable: str = "MLFLOW_TRACKING_URI",
    **options: Any,
) -> Any:
    """A `requests.Response` to a GET request, made once and as MLflow's own client makes its requests."""
    settle_mlflow()
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
        answer = http_request(
            credentials,
            path,
            "GET",
            max_retries=0,
            timeout=TIMEOUT_SECONDS,
            raise_on_status=False,
            **options,
        )
    # Settings that are wrong raise whatever reads them raises.
    except (MlflowException, OSError, ImportError, ValueError) as error:
        cause = error.__cause__ or error.__context__ or error
        if isinstance(cause, requests.exceptions.SSLError):
            raise TrackingError(
                f"the certificate of {server} is not trusted",
                "name the file of its certificate authority in MLFLOW_TRACKING_SERVER_CERT_PATH",
                "make an image from this one that has the file of its certificate authority, named by "
                "ENV MLFLOW_TRACKING_SERVER_CERT_PATH",
            ) from None
        if not isinstance(cause, requests.RequestException):
            raise TrackingError(
                f"MLflow's settings for {server} are wrong: {first_line(cause)}",
                "mend the variable MLFLOW_… that it is about",
                "mend the variable MLFLOW_… that it is about, in the image, ConfigMap or Secret",
            ) from None
        embedded = "; without that variable runs are kept in mlruns/" * (variable == "MLFLOW_TRACKING_URI")
        raise TrackingError(
            f"{server} cannot be reached ({type(cause).__name__})",
            f"start it, or mend {variable}{embedded}",
            f"start it, or mend {MLFLOW_SETTING}; what the network policies let the pods reach is in "
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
