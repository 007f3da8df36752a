"""Models through an MLflow server that keeps them in a bucket: who uses it needs no credentials of S3."""

import os
from pathlib import Path

import keras
import requests
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

from components.common.saved_model import weights_digest
from components.common.storage import open_storage
from tests.support.mlflow_server import runs, serving
from tests.support.project import MODEL, ROOT, Project, without_store
from tests.support.s3_server import S3Server, set_environment

pytest_plugins = ("tests.support.s3_server",)


def test_a_model_is_registered_in_the_bucket_and_read_back_without_credentials(
    trained: Project, s3: S3Server, bucket: str, tmp_path: Path
):
    copied = without_store(trained, tmp_path / "project")
    without_keys = {name: value for name, value in copied.environment.items() if name not in s3.environment}
    project = Project(copied.root, without_keys | {"HOME": str(tmp_path)})  # nor are there any in a file
    (project.root / "mlruns" / "registration.json").unlink()

    keys = s3.environment | {"MLFLOW_S3_ENDPOINT_URL": s3.url}  # the server alone has them
    keys["PYTHONPATH"] = os.pathsep.join(
        (str(ROOT), str(ROOT / "pipeline" / "tracking" / "proxied_s3"))
    )  # as in the image
    with serving(tmp_path, f"s3-proxied://{bucket}/mlflow", keys) as server:
        project.fashion("step", "register", MLFLOW_TRACKING_URI=server.url)
        with set_environment(dict.fromkeys(s3.environment)):
            client = MlflowClient(server.url)
            champion = client.get_model_version_by_alias(MODEL, "champion")
            (run,) = runs(client)
            uri = client.get_model_version_download_uri(MODEL, champion.version)
            copy = Path(download_artifacts(uri, dst_path=str(tmp_path / "copy"), tracking_uri=server.url))
        offered = requests.get(f"{server.url}/api/3.0/mlflow/server-info", timeout=10).json()
        address = requests.get(f"{server.url}/api/2.0/mlflow-artifacts/presigned/any", timeout=10)

    # Else whoever cannot reach the object store by the server's name for it would wait for minutes.
    assert (offered["multipart_downloads_enabled"], offered["multipart_uploads_enabled"]) == (False, False)
    assert address.status_code == 501
    assert champion.run_id == run.info.run_id
    (model,) = copy.rglob("model.keras")
    assert weights_digest(keras.models.load_model(model)) == champion.tags["weights_digest"]
    assert champion.tags["weights_digest"] == project.json("outputs/train/training.json")["weights_digest"]
    store = open_storage(f"s3://{bucket}/mlflow")
    (name,) = (name for name in store.names() if name.endswith("model.keras"))
    assert store.read(name) == model.read_bytes()
    report = (project.root / "outputs/evaluate/report.html").read_bytes()
    (name,) = (name for name in store.names() if name.endswith("evaluate/report.html"))
    assert store.read(name) == report
