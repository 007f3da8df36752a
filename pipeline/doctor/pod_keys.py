"""The ConfigMap and the Secret of the steps' pods: whether they exist, and whether the keys in them work."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError
from kubernetes import client
from urllib3.exceptions import HTTPError

from components.common.errors import ClusterError, StorageError
from components.common.s3 import s3_client
from components.common.storage import open_storage
from pipeline.doctor.finding import NotTested, try_bucket
from pipeline.kubeflow.client.pods import SECONDS, kube_client
from pipeline.kubeflow.runtime.environment import CONFIG_MAP, SECRET, SECRET_KEYS, STATE_URL
from pipeline.tracking.server import RefusedError, check_server, is_server

S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def check_namespace(namespace: str) -> str:
    """Checks that ConfigMap and Secret exist; returns an empty text if that cannot be seen from here.

    Raises:
        ClusterError: One of them does not exist.
    """
    try:
        found = _read(namespace)
    except NotTested:
        return ""
    errors = {name: answer for name, answer in found.items() if isinstance(answer, client.ApiException)}
    missing = [name for name, error in errors.items() if error.status == 404]
    if missing:
        raise ClusterError(
            f"the namespace {namespace} lacks {' and '.join(missing)}",
            "infra/kubernetes/README.md tells how to create them; a Secret may be empty if pods need no keys",
        )
    return "" if errors else f"{namespace} has {' and '.join(found)}"


def check_pod_keys(namespace: str, mlflow_uri: str) -> str:
    """Tries the keys of the Secret, from here: in the bucket of the ConfigMap, and at MLflow.

    Args:
        namespace: The namespace of the pods.
        mlflow_uri: MLflow's address as seen from here.

    Raises:
        NotTested: Secret or ConfigMap cannot be read.
        PipelineError: A key is missing or refused, or pods use another bucket than this environment.
    """
    config_map, secret = _read(namespace).values()
    for answer in (secret, config_map):
        if isinstance(answer, client.ApiException):
            raise NotTested(f"Secret and ConfigMap of {namespace} cannot be read from here ({answer.status})")
    decoded = {
        name: base64.b64decode(value).decode(errors="replace") for name, value in (secret.data or {}).items()
    }
    keys = {name: decoded[name] for name in SECRET_KEYS if name in decoded}
    hint = (
        "put the right one there, with all else that it should hold "
        f"({', '.join(SECRET_KEYS)}; a line NAME=VALUE each in FILE): "
        f"`kubectl -n {namespace} create secret generic {SECRET} --from-env-file FILE "
        "--dry-run=client -o yaml | kubectl apply -f -`"
    )
    for name, value in keys.items():
        if value != value.strip():
            raise ClusterError(f"{name} in the cluster's {SECRET} has blanks or a line break around it", hint)
    s3, mlflow = _try_s3(keys, config_map.data or {}, hint), _try_mlflow(keys, mlflow_uri, hint)
    return f"of {SECRET} in {namespace}: {s3}{mlflow}"


def _read(namespace: str) -> dict[str, Any]:
    """ConfigMap and Secret, in this order; Kubernetes' ApiException for one that cannot be read."""
    api = kube_client()
    if api is None:
        raise NotTested("there is no kubeconfig to read them with")
    core = client.CoreV1Api(api)

    def read(method: Callable[..., Any], name: str) -> Any:
        try:
            return method(name, namespace, _request_timeout=SECONDS)
        except client.ApiException as error:
            return error
        except HTTPError:
            raise NotTested("the kubeconfig's cluster cannot be reached") from None

    return {
        f"ConfigMap {CONFIG_MAP}": read(core.read_namespaced_config_map, CONFIG_MAP),
        f"Secret {SECRET}": read(core.read_namespaced_secret, SECRET),
    }


def _try_s3(keys: Mapping[str, str], config: Mapping[str, str], key_hint: str) -> str:
    location, endpoint = config.get(STATE_URL, ""), config.get("AWS_ENDPOINT_URL", "")
    local = os.environ.get(STATE_URL) or location
    if local.rstrip("/") != location.rstrip("/"):
        raise ClusterError(
            f"{STATE_URL} is {local} here, and {location or 'not set'} in the cluster's {CONFIG_MAP}",
            "set both to the same",
        )
    if not location.startswith("s3://"):
        raise ClusterError(
            f"{STATE_URL} names no bucket in the cluster's {CONFIG_MAP}",
            "infra/kubernetes/README.md tells how to set it",
        )
    missing = [name for name in S3_KEYS if not keys.get(name)]
    if len(missing) == 1 or (missing and not _is_aws(endpoint)):
        raise ClusterError(f"the cluster's {SECRET} lacks {' and '.join(missing)}", key_hint)
    if missing:
        return "no S3 key (not tested: whether the pods' own identity has access)"
    s3 = s3_client(
        config.get("AWS_DEFAULT_REGION"),
        **{name.lower(): keys.get(name) for name in (*S3_KEYS, "AWS_SESSION_TOKEN")},
    )
    local_endpoint = s3.meta.endpoint_url
    if _is_aws(endpoint) != _is_aws(local_endpoint):
        raise ClusterError(
            f"the S3 server is {local_endpoint} here, and {endpoint or 'AWS'} in the cluster's {CONFIG_MAP}",
            "set AWS_ENDPOINT_URL to the address at which you reach the cluster's S3 server, "
            f"or correct the {CONFIG_MAP}",
        )
    try:
        try_bucket(open_storage(location, s3))
    except StorageError as error:
        cause = error.__cause__
        if not isinstance(cause, ClientError):
            raise
        refused = cause.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 401, 403)
        hint = key_hint if refused else error.hint
        raise StorageError(f"with the key of the cluster's {SECRET}: {error}", hint) from None
    return f"its S3 key can write and read {location}"


def _is_aws(endpoint: str) -> bool:
    return not endpoint or "amazonaws.com" in endpoint


def _try_mlflow(keys: Mapping[str, str], uri: str, key_hint: str) -> str:
    user, password = (keys.get(f"MLFLOW_TRACKING_{name}", "") for name in ("USERNAME", "PASSWORD"))
    if not user or not is_server(uri):
        return ""
    try:
        check_server(uri, (user, password))
    except RefusedError as error:
        raise RefusedError(f"with the MLflow user of the cluster's {SECRET}: {error}", key_hint) from None
    return "; its MLflow user can log in"
