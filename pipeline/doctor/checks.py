"""The checks of `fashion doctor`: each gives a line, with what to do if something is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import (
    DataError,
    PipelineError,
    StorageError,
    TrackingError,
    first_line,
    redacted,
)
from components.common.storage import open_storage
from components.ingest.s3 import PUSH, check_version
from components.ingest.step import check
from pipeline.data.dataset import manifest
from pipeline.doctor.finding import Finding, NotTested, try_bucket
from pipeline.doctor.pod_keys import check_namespace, check_pod_keys
from pipeline.kubeflow.client.api import NAMESPACE, Kfp
from pipeline.kubeflow.definition.arguments import check_remote, default_remote
from pipeline.kubeflow.definition.image import choose_image
from pipeline.kubeflow.runtime.environment import STATE_URL
from pipeline.tracking.server import is_server
from pipeline.tracking.store import check_servers, tracking_uri


@dataclass(frozen=True)
class Target:
    """The project, and where and with which image it would be submitted."""

    root: Path
    host: str
    namespace: str
    token_file: Path | None
    image: str
    gpus: int = 1


def findings(target: Target) -> Iterator[Finding]:
    """Runs each check."""
    for name, run_check in CHECKS.items():
        try:
            text = run_check(target)
        except NotTested as reason:
            yield Finding(name, True, f"not tested: {reason}", tested=False)
        except PipelineError as error:
            yield Finding(name, False, str(error), error.hint)
        except Exception as error:  # the other checks run even if one has a defect
            text = f"{type(error).__name__}: {first_line(error)}"
            yield Finding(name, False, text, "this error is unexpected: correct what it names")
        else:
            if text:
                yield Finding(name, True, text)


def _data(target: Target) -> str:
    expected = manifest(target.root)
    missing, wrong = check(target.root / "data", expected.sha256)
    if missing or wrong:
        found = [*(f"{name} is missing" for name in missing), *wrong.values()]
        raise DataError("; ".join(found), "`fashion data` obtains it")
    return f"{expected.version}, every byte verified"


def _remote(target: Target) -> str:
    remote, version = default_remote(target.root), manifest(target.root).version
    check_remote(remote)
    found = check_version(version, remote)
    if found:
        raise DataError("; ".join(found), PUSH)
    return f"{remote} has it, every byte verified"


def _bucket(_: Target) -> str:
    location = os.environ.get(STATE_URL, "")
    if not location:
        raise StorageError(
            f"{STATE_URL} is not set",
            "set it as the ConfigMap fashion-config has it, for example s3://fashion/state",
        )
    try_bucket(open_storage(location))
    return f"{location} can be written and read with the keys of this environment"


def _mlflow(target: Target) -> str:
    check_servers(target.root)
    uri = tracking_uri(target.root)
    if not is_server(uri):
        raise TrackingError(
            f"MLFLOW_TRACKING_URI names no server: runs of this machine are kept in {redacted(uri)}",
            "for runs on a cluster set it to the cluster's MLflow, http://HOST:PORT",
        )
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    return f"{redacted(uri)} answers{', with the user of this environment' if user else ''}"


def _kfp(target: Target) -> str:
    kfp = Kfp(target.host, target.namespace, target.token_file)
    return f"{redacted(kfp.host)} answers, runs go to the namespace {kfp.namespace}"


def _namespace(target: Target) -> str:
    return check_namespace(target.namespace or NAMESPACE)


def _pod_keys(target: Target) -> str:
    return check_pod_keys(target.namespace or NAMESPACE, tracking_uri(target.root))


def _image(target: Target) -> str:
    image = choose_image(target.image, target.gpus)
    return f"{image} (not tested: whether the cluster can pull it)"


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
