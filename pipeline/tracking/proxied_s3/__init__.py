"""An artifact store for the MLflow server: S3, of which clients see nothing but the server.

MLflow's own store for S3 makes the server offer addresses of the object store to whoever downloads an
artifact, with the server's AWS_ENDPOINT_URL in them. In a cluster that name means something in one namespace
only: everybody else waits for minutes, and fails. MLflow has no switch for it.
"""

from __future__ import annotations

from pathlib import Path

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

SCHEME = "s3-proxied"
"""For `mlflow server --artifacts-destination`; in the image MLflow finds it by an entry point."""


class ProxiedS3ArtifactRepository(ArtifactRepository):  # type: ignore[misc]
    """MLflow's store for S3 without multipart up- and downloads past the server.

    Args:
        artifact_uri: `s3-proxied://BUCKET/PREFIX`.
        tracking_uri: As every artifact repository takes it.
        registry_uri: The same.
    """

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self.s3 = S3ArtifactRepository(f"s3{artifact_uri.removeprefix(SCHEME)}", tracking_uri, registry_uri)

    def log_artifact(self, local_file: str | Path, artifact_path: str | None = None) -> None:
        """Uploads a file into a folder of the store."""
        self.s3.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Uploads what is in a folder."""
        self.s3.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Lists a folder of the store."""
        return list(self.s3.list_artifacts(path))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Deletes a file or a folder."""
        self.s3.delete_artifacts(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self.s3._download_file(remote_file_path, local_path)
