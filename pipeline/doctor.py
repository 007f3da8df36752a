"""Whether all that a run on a cluster needs is there: one line each, ok or what to do."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import DataError, ParameterError, PipelineError, StorageError, TrackingError


@dataclass(frozen=True)
class Finding:
    """What came of a check; `hint` says what to do where it is not ok."""

    name: str
    ok: bool
    text: str
    hint: str = ""


@dataclass(frozen=True)
class Target:
    """What is checked besides the project: where and with which image it would be submitted."""

    root: Path
    host: str
    namespace: str
    token_file: Path | None
    image: str


def findings(target: Target) -> Iterator[Finding]:
    """Makes one check after the other."""
    for name, check in CHECKS.items():
        try:
            yield Finding(name, True, check(target))
        except PipelineError as error:
            yield Finding(name, False, str(error), error.hint)


def _data(target: Target) -> str:
    from components.ingest.step import check
    from pipeline.dataset import manifest

    described = manifest(target.root)
    missing, wrong = check(target.root / "data", described.sha256)
    if missing or wrong:
        faults = [*(f"{name} is missing" for name in missing), *wrong.values()]
        raise DataError("; ".join(faults), "`fashion data` fetches it")
    return f"{described.version}, every byte verified"


def _remote(target: Target) -> str:
    from components.ingest.s3 import absent
    from pipeline.dataset import manifest
    from pipeline.kubeflow.form import default_remote

    remote, version = default_remote(target.root), manifest(target.root).version
    if not remote:
        raise DataError(
            "DVC has no default remote",
            "`dvc remote add --default storage s3://BUCKET/dvc`, then `dvc push data.dvc`",
        )
    if not remote.startswith("s3://"):
        raise DataError(
            f"DVC's default remote {remote} is not in S3, pods cannot read it", "name one that is"
        )
    missing = absent(version, remote)
    if missing:
        raise DataError(
            f"{remote} lacks {', '.join(missing)}",
            f"remove the listing {version[:2]}/{version[2:]} there, without which DVC sees what is missing; "
            "then `dvc push data.dvc`",
        )
    return f"{remote} has it"


def _bucket(_: Target) -> str:
    from components.common.storage import open_storage
    from pipeline.kubeflow.notes import STATE_URL

    location = os.environ.get(STATE_URL, "")
    if not location:
        raise StorageError(
            f"{STATE_URL} is not set",
            "set it as the ConfigMap fashion-config has it, for example s3://fashion/state",
        )
    storage, name = open_storage(location), f"doctor-{uuid.uuid4().hex}"
    storage.write(name, b"ok")
    content = storage.read(name)
    storage.remove(name)
    if content != b"ok":
        raise StorageError(f"{location} does not give back what was written", "look at the server")
    return f"{location} can be written and read"


def _mlflow(target: Target) -> str:
    from pipeline.store import check_server, display_uri, tracking_uri

    uri = tracking_uri(target.root)
    if not uri.startswith(("http://", "https://")):
        raise TrackingError(
            "MLFLOW_TRACKING_URI names no server: runs of this machine are kept in mlruns/",
            "for a cluster's runs set it to its MLflow, http://HOST:PORT",
        )
    check_server(uri)
    return f"{display_uri(uri)} answers"


def _kfp(target: Target) -> str:
    from pipeline.kubeflow.client import Kfp

    kfp = Kfp(target.host, target.namespace, target.token_file)
    return f"{kfp.host} answers, runs go to the namespace {kfp.namespace}"


def _image(target: Target) -> str:
    from pipeline.kubeflow.settings import check_image, default_image
    from pipeline.store import git_version

    image = check_image(target.image or default_image())
    if not target.image and git_version().get("git.dirty") == "true":
        raise ParameterError(
            f"the code differs from the commit of which {image} is the image",
            "commit, then `make image`; or name another by --image",
        )
    return f"{image} (whether the cluster can pull it shows when it runs)"


CHECKS: dict[str, Callable[[Target], str]] = {
    "data": _data,
    "DVC remote": _remote,
    "bucket": _bucket,
    "MLflow": _mlflow,
    "KFP": _kfp,
    "image": _image,
}
