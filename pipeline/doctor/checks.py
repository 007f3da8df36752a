"""Whether all that a run on a cluster needs is there: one line each, ok or what to do."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import (
    ClusterError,
    DataError,
    PipelineError,
    StorageError,
    TrackingError,
    first_line,
    redacted,
)
from pipeline.doctor.finding import Finding, NotTested, try_bucket

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Target:
    """What is checked besides the project: where and with which image it would be submitted."""

    root: Path
    host: str
    namespace: str
    token_file: Path | None
    image: str
    gpus: int = 1


def findings(target: Target) -> Iterator[Finding]:
    """Makes one check after the other."""
    for name, check in CHECKS.items():
        try:
            text = check(target)
        except NotTested as reason:
            yield Finding(name, True, f"not tested: {reason}", tested=False)
        except PipelineError as error:
            yield Finding(name, False, str(error), error.hint)
        except Exception as error:  # one broken check must not hide what the others find
            text = f"{type(error).__name__}: {first_line(error)}"
            yield Finding(name, False, text, "nobody foresaw this: mend what it names")
        else:
            if text:
                yield Finding(name, True, text)


def _data(target: Target) -> str:
    from components.ingest.step import check
    from pipeline.data.dataset import manifest

    described = manifest(target.root)
    missing, wrong = check(target.root / "data", described.sha256)
    if missing or wrong:
        faults = [*(f"{name} is missing" for name in missing), *wrong.values()]
        raise DataError("; ".join(faults), "`fashion data` fetches it")
    return f"{described.version}, every byte verified"


def _remote(target: Target) -> str:
    from components.ingest.s3 import PUSH, check_version
    from pipeline.data.dataset import manifest
    from pipeline.kubeflow.definition.arguments import check_remote, default_remote

    remote, version = default_remote(target.root), manifest(target.root).version
    check_remote(remote)
    found = check_version(version, remote)
    if found:
        raise DataError("; ".join(found), PUSH)
    return f"{remote} has it, every byte verified"


def _bucket(_: Target) -> str:
    from components.common.storage import open_storage
    from pipeline.kubeflow.runtime.environment import STATE_URL

    location = os.environ.get(STATE_URL, "")
    if not location:
        raise StorageError(
            f"{STATE_URL} is not set",
            "set it as the ConfigMap fashion-config has it, for example s3://fashion/state",
        )
    try_bucket(open_storage(location))
    return f"{location} can be written and read with the keys of this environment"


def _mlflow(target: Target) -> str:
    from pipeline.tracking.server import is_server
    from pipeline.tracking.store import check_servers, tracking_uri

    check_servers(target.root)
    uri = tracking_uri(target.root)
    if not is_server(uri):
        raise TrackingError(
            f"MLFLOW_TRACKING_URI names no server: runs of this machine are kept in {redacted(uri)}",
            "for a cluster's runs set it to its MLflow, http://HOST:PORT",
        )
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return f"{redacted(uri)} answers{', with the user of this environment' if user else ''}"


def _kfp(target: Target) -> str:
    from pipeline.kubeflow.client.api import Kfp

    kfp = Kfp(target.host, target.namespace, target.token_file)
    return f"{redacted(kfp.host)} answers, runs go to the namespace {kfp.namespace}"


def _namespace(target: Target) -> str:
    """Looks for what the steps take their environment from; nothing to say where that cannot be seen."""
    from kubernetes import client
    from urllib3.exceptions import HTTPError

    from pipeline.kubeflow.client.api import NAMESPACE
    from pipeline.kubeflow.client.pods import SECONDS, kube_client
    from pipeline.kubeflow.runtime.environment import CONFIG_MAP, SECRET

    api, namespace = kube_client(), target.namespace or NAMESPACE
    if api is None:
        return ""
    core = client.CoreV1Api(api)
    wanted = {
        f"ConfigMap {CONFIG_MAP}": (core.read_namespaced_config_map, CONFIG_MAP),
        f"Secret {SECRET}": (core.read_namespaced_secret, SECRET),
    }
    missing, unseen = [], False
    for what, (read, name) in wanted.items():
        try:
            read(name, namespace, _request_timeout=SECONDS)
        except client.ApiException as error:
            missing += [what] if error.status == 404 else []
            unseen |= error.status != 404
        except HTTPError:
            return ""
    if missing:
        raise ClusterError(
            f"the namespace {namespace} lacks {' and '.join(missing)}",
            "infra/kubernetes/README.md makes them; a Secret may be empty where pods need no keys",
        )
    return "" if unseen else f"{namespace} has {' and '.join(wanted)}"


def _pod_keys(target: Target) -> str:
    from pipeline.doctor.pod_keys import check_pod_keys
    from pipeline.kubeflow.client.api import NAMESPACE
    from pipeline.tracking.store import tracking_uri

    return check_pod_keys(target.namespace or NAMESPACE, tracking_uri(target.root))


def _image(target: Target) -> str:
    from pipeline.kubeflow.definition.image import choose_image

    image = choose_image(target.image, target.gpus)
    return f"{image} (whether the cluster can pull it shows when it runs)"


CHECKS: dict[str, Callable[[Target], str]] = {
    "data": _data,
    "DVC remote": _remote,
    "bucket": _bucket,
    "MLflow": _mlflow,
    "KFP": _kfp,
    "namespace": _namespace,
    "pods' keys": _pod_keys,
    "image": _image,
}
