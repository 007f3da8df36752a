"""A check, before long work starts, that this machine can read and write the artifacts of a run."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from mlflow.entities import Run
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from components.common.errors import PipelineError, TrackingError, first_line, redacted
from pipeline.tracking.server import is_server, sees_artifact

SERVE_HINT = (
    "start the server with --serve-artifacts, and name a new tracking.experiment in params.yaml, since an "
    "experiment keeps its artifact location"
)
CLUSTER_HINT = f"{SERVE_HINT} (infra/kubernetes/base/mlflow.yaml does the first)"
ACCESS_HINT = f"give this machine access to it (AWS_… for S3); or {SERVE_HINT}"


def check_artifacts(uri: str, run: Run) -> None:
    """Writes, reads and deletes a small file among the artifacts of a run, at the tracking URI `uri`.

    Raises:
        TrackingError: The artifacts cannot be written or read; or the artifact location is a folder, and the
            server, which is on another machine, has another folder at that path.
    """
    location, folder, name = run.info.artifact_uri, f"check-{uuid.uuid4().hex}", "content.txt"
    with artifact_faults(uri, location), TemporaryDirectory() as temporary:
        repository = get_artifact_repository(location, tracking_uri=uri)
        written = Path(temporary) / name
        written.write_text(folder, encoding="utf-8")
        repository.log_artifact(str(written), folder)
        try:
            read = Path(repository.download_artifacts(f"{folder}/{name}", temporary))
            if read.read_text(encoding="utf-8") != folder:
                raise OSError("what was read is not what was written")
            if _is_folder_of_server(uri, location) and not sees_artifact(uri, run.info.run_id, folder, name):
                raise OSError("the artifact location is a folder of the server's own disk")
        finally:
            _delete(repository, folder)


@contextmanager
def artifact_faults(uri: str, location: str) -> Iterator[None]:
    """Turns any error of an artifact store into a TrackingError with a hint.

    Args:
        uri: The tracking URI.
        location: The artifact URI.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:  # each kind of store has its own exceptions
        raise TrackingError(
            f"artifacts cannot be kept in {redacted(location)}: {first_line(error)}",
            SERVE_HINT if _is_folder_of_server(uri, location) else ACCESS_HINT,
            CLUSTER_HINT,
        ) from error


def _is_folder_of_server(uri: str, location: str) -> bool:
    return is_server(uri) and urlsplit(location).scheme in ("", "file")


def _delete(repository: ArtifactRepository, folder: str) -> None:
    try:
        if isinstance(
            repository, LocalArtifactRepository
        ):  # its delete_artifacts decodes `%` in a path twice
            shutil.rmtree(Path(repository.artifact_dir) / folder)
        else:
            repository.delete_artifacts(folder)
    except Exception as error:  # artifacts can be kept even if none can be deleted
        print(f"the check could not delete its file from the run's artifacts, {folder}: {first_line(error)}")
