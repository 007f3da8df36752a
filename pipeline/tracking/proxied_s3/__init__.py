"""An artifact store for the MLflow server: S3, which clients reach only through the server.

With MLflow's own store for S3, the server gives its clients presigned URLs, built from the server's
AWS_ENDPOINT_URL. In a cluster that host name can be reached from one namespace only: downloads from elsewhere
wait for minutes, and fail. MLflow has no setting that turns this off.
"""

from __future__ import annotations

from pathlib import Path

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

SCHEME = "s3-proxied"
"""For `mlflow server --artifacts-destination`; in the image MLflow finds it by an entry point."""


class ProxiedS3ArtifactRepository(ArtifactRepository):  # type: ignore[misc]
    """MLflow's store for S3 at `s3-proxied://BUCKET/PREFIX`, without presigned and multipart transfers."""

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self.s3 = S3ArtifactRepository(f"s3{artifact_uri.removeprefix(SCHEME)}", tracking_uri, registry_uri)

    def log_artifact(self, local_file: str | Path, artifact_path: str | None = None) -> None:
        """Uploads a file to a folder of the store."""
        self.s3.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Uploads the files of a folder."""
        self.s3.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Lists a folder of the store."""
        return list(self.s3.list_artifacts(path))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Deletes a file or a folder."""
        self.s3.delete_artifacts(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self.s3._download_file(remote_file_path, local_path)
