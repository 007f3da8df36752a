"""Where a run's artifacts are kept: whether this machine can use it, tried before long work starts."""

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
    "experiment keeps its place"
)
CLUSTER_HINT = f"{SERVE_HINT} (infra/kubernetes/base/mlflow.yaml does the first)"
ACCESS_HINT = f"give this machine access to it (AWS_… for S3); or {SERVE_HINT}"


def check_artifacts(uri: str, run: Run) -> None:
    """Writes, reads and deletes a small file among a run's artifacts.

    A server may hand out a folder of its own disk, into which a client on another machine writes in vain.

    Args:
        uri: The tracking URI.
        run: The run.

    Raises:
        TrackingError: The artifacts cannot be written or read.
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
                raise OSError("it does not give back what was written")
            if _is_handed_out(uri, location) and not sees_artifact(uri, run.info.run_id, folder, name):
                raise OSError("the server hands out a folder of its own disk")
        finally:
            _delete(repository, folder)


@contextmanager
def artifact_faults(uri: str, location: str) -> Iterator[None]:
    """Turns whatever the library of an artifact store raises into a line that a user can act on.

    Args:
        uri: The tracking URI.
        location: The artifact URI.
    """
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:  # each kind of store has errors of its own
        raise TrackingError(
            f"artifacts cannot be kept in {redacted(location)}: {first_line(error)}",
            SERVE_HINT if _is_handed_out(uri, location) else ACCESS_HINT,
            CLUSTER_HINT,
        ) from error


def _is_handed_out(uri: str, location: str) -> bool:
    """Whether a server names a folder, which need not be one of this machine."""
    return is_server(uri) and urlsplit(location).scheme in ("", "file")


def _delete(repository: ArtifactRepository, folder: str) -> None:
    try:
        if isinstance(repository, LocalArtifactRepository):  # which decodes a folder's name twice
            shutil.rmtree(Path(repository.artifact_dir) / folder)
        else:
            repository.delete_artifacts(folder)
    except Exception as error:  # where nothing may be deleted, artifacts can be kept all the same
        print(f"the file of a check stays among the run's artifacts, in {folder}: {first_line(error)}")
