"""Artifact stores that cannot be used are found before training."""

import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient

from components.common.errors import TrackingError
from pipeline.tracking.artifacts import check_artifacts
from tests.support.mlflow_server import Server, runs, serving
from tests.support.project import Project
from tests.support.s3_server import NO_KEYS


@pytest.mark.slow
def test_an_artifact_store_that_cannot_be_used_is_found_before_training(
    served: Project, client: MlflowClient, tmp_path: Path
):
    """Without keys of S3; and in a folder that this user may not write, or that is none."""
    (tmp_path / "file").write_text("no folder")
    places = {"without-keys": "s3://bucket/prefix", "no-folder": f"{tmp_path}/file/artifacts"}
    home = {name: value for name, value in served.environment.items() if name not in NO_KEYS}
    project = Project(served.root, home | {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"})
    for name, place in places.items():
        client.create_experiment(name, place)
        project.change("tracking", "experiment", name)

        result = project.fashion("step", "train", code=7)

        assert "epoch 1/" not in result.stdout
        assert f"artifacts cannot be kept in {place}" in result.stderr
        assert "Traceback" not in result.stderr
        assert "--serve-artifacts" in result.stderr
        (run,) = runs(client, name)
        assert run.info.status == "FAILED"


@pytest.mark.usefixtures("restored_environment")
@pytest.mark.parametrize("place", ["s3://bucket/prefix", "{folder}/file/artifacts"])
def test_a_bucket_without_keys_and_a_folder_that_is_none_are_refused(
    mlflow_server: Server, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    for name in NO_KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "file").write_text("no folder")
    place = place.format(folder=tmp_path)
    run = client.create_run(client.create_experiment("refused", place))

    with pytest.raises(TrackingError, match=f"artifacts cannot be kept in {place}") as refused:
        check_artifacts(mlflow_server.url, run)

    assert "--serve-artifacts" in refused.value.hint


def test_a_folder_of_the_servers_own_disk_is_told_apart_from_one_that_both_see(tmp_path: Path):
    """The server has another disk at that place, as one on another machine has."""
    place = tmp_path / "artifacts"
    place.mkdir()
    elsewhere = ("unshare", "--mount", "sh", "-c", f"mount -t tmpfs none '{place}' && exec \"$@\"", "sh")
    if subprocess.run([*elsewhere, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount anything")
    with serving(tmp_path, wrapper=elsewhere) as server:
        client = MlflowClient(server.url)
        apart, shared = (
            client.create_run(client.create_experiment(name, str(folder)))
            for name, folder in (("apart", place), ("shared", tmp_path / "shared"))
        )

        check_artifacts(server.url, shared)
        with pytest.raises(TrackingError, match="a folder of the server's own disk") as refused:
            check_artifacts(server.url, apart)

    assert "--serve-artifacts" in refused.value.hint
    assert [path for path in place.rglob("*") if path.is_file()] == []
