"""Whether the keys that the cluster's Secret gives to pods work; the user's own may be others."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

from components.common.errors import ClusterError, StorageError
from components.common.s3 import s3_client
from components.common.storage import open_storage
from pipeline.doctor.finding import NotTested, try_bucket
from pipeline.kubeflow.client.pods import SECONDS, kube_client
from pipeline.kubeflow.runtime.environment import CONFIG_MAP, SECRET, SECRET_KEYS, STATE_URL
from pipeline.tracking.server import RefusedError, check_server, is_server

S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
README = "infra/kubernetes/README.md"


def check_pod_keys(namespace: str, mlflow_uri: str) -> str:
    """Tries the keys of the Secret, from here: in the bucket of the ConfigMap, and at MLflow.

    Args:
        namespace: Where the pods are.
        mlflow_uri: MLflow, as it is reached from here.

    Raises:
        NotTested: They cannot be read, or there is nothing to try them on.
        PipelineError: One of them is refused, or pods use another bucket than this environment.
    """
    secret, config = _read(namespace)
    remedy = (
        "put the right one there, with all else that it should hold "
        f"({', '.join(SECRET_KEYS)}; a line NAME=VALUE each in FILE): "
        f"`kubectl -n {namespace} create secret generic {SECRET} --from-env-file FILE "
        "--dry-run=client -o yaml | kubectl apply -f -`"
    )
    for name, value in secret.items():
        if value != value.strip():
            raise ClusterError(
                f"{name} in the cluster's {SECRET} has blanks or a line break around it", remedy
            )
    s3, mlflow = _try_s3(secret, config, remedy), _try_mlflow(secret, mlflow_uri, remedy)
    return f"of {SECRET} in {namespace}: {s3}{mlflow}"


def _read(namespace: str) -> tuple[dict[str, str], dict[str, str]]:
    """The Secret's values that pods get, and the ConfigMap's."""
    from kubernetes import client
    from urllib3.exceptions import HTTPError

    api = kube_client()
    if api is None:
        raise NotTested("there is no kubeconfig to read them by")
    core = client.CoreV1Api(api)
    try:
        secret = core.read_namespaced_secret(SECRET, namespace, _request_timeout=SECONDS).data or {}
        config = core.read_namespaced_config_map(CONFIG_MAP, namespace, _request_timeout=SECONDS).data or {}
    except client.ApiException as error:
        raise NotTested(
            f"Secret and ConfigMap of {namespace} cannot be read from here ({error.status})"
        ) from None
    except HTTPError:
        raise NotTested("the kubeconfig's cluster cannot be reached") from None
    decoded = {key: base64.b64decode(value).decode(errors="replace") for key, value in secret.items()}
    return {key: decoded[key] for key in SECRET_KEYS if key in decoded}, dict(config)


def _try_s3(secret: Mapping[str, str], config: Mapping[str, str], remedy: str) -> str:
    from botocore.exceptions import ClientError

    location, endpoint = config.get(STATE_URL, ""), config.get("AWS_ENDPOINT_URL", "")
    own = os.environ.get(STATE_URL) or location
    if own.rstrip("/") != location.rstrip("/"):
        raise ClusterError(
            f"{STATE_URL} is {own} here, and {location or 'not set'} in the cluster's {CONFIG_MAP}",
            "set both to the same",
        )
    if not location.startswith("s3://"):
        raise ClusterError(f"{STATE_URL} names no bucket in the cluster's {CONFIG_MAP}", f"{README} sets it")
    missing = [name for name in S3_KEYS if not secret.get(name)]
    if len(missing) == 1 or (missing and not _is_aws(endpoint)):
        raise ClusterError(f"the cluster's {SECRET} lacks {' and '.join(missing)}", remedy)
    if missing:
        return "no S3 key (whether the pods' own identity is let in shows when they run)"
    client = s3_client(
        config.get("AWS_DEFAULT_REGION"),
        **{name.lower(): secret.get(name) for name in (*S3_KEYS, "AWS_SESSION_TOKEN")},
    )
    here = client.meta.endpoint_url
    if _is_aws(endpoint) != _is_aws(here):
        raise ClusterError(
            f"the S3 server is {here} here, and {endpoint or 'AWS'} in the cluster's {CONFIG_MAP}",
            f"set AWS_ENDPOINT_URL to where you reach the cluster's, or mend the {CONFIG_MAP}",
        )
    try:
        try_bucket(open_storage(location, client))
    except StorageError as error:
        cause = error.__cause__
        if not isinstance(cause, ClientError):
            raise
        refused = cause.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 401, 403)
        hint = remedy if refused else error.hint
        raise StorageError(f"with the key of the cluster's {SECRET}: {error}", hint) from None
    return f"its S3 key can write and read {location}"


def _is_aws(endpoint: str) -> bool:
    return not endpoint or "amazonaws.com" in endpoint


def _try_mlflow(secret: Mapping[str, str], uri: str, remedy: str) -> str:
    user, password = (secret.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    if not user or not is_server(uri):
        return ""
    try:
        check_server(uri, (user, password))
    except RefusedError as error:
        raise RefusedError(f"with the MLflow user of the cluster's {SECRET}: {error}", remedy) from None
    return "; its MLflow user is let in"
