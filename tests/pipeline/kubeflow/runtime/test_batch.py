"""The steps of a batch as pods run them: one champion for all shards, and errors to read."""

import json
import re
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.common import idx
from components.common.errors import ExitCode
from components.common.storage import Storage, open_storage
from components.registry.registry import Registry
from pipeline.kubeflow.definition.arguments import Batch, batch_arguments
from pipeline.kubeflow.runtime import batch
from pipeline.kubeflow.runtime.step_parameters import code_version
from pipeline.kubeflow.runtime.step_status import read_statuses
from pipeline.params import load
from pipeline.registry.decisions import promote
from tests.support.pictures import png
from tests.support.project import MODEL, Project
from tests.support.registry import add_version, predictions

pytest_plugins = ("tests.support.s3_server",)
pytestmark = pytest.mark.usefixtures("restored_environment")


class Run:
    """The steps of a pipeline run on the project's registry."""

    def __init__(self, project: Project, folder: Path, bucket: str) -> None:
        self.urls = (f"s3://{bucket}/images", f"s3://{bucket}/predictions")
        arguments = batch_arguments(load(project.root / "params.yaml"), Batch(*self.urls, 2))
        self.common = code_version(), arguments["params"]
        self.plan: Any = SimpleNamespace(path=str(folder / "plan"), metadata={})
        self.trend: Any = SimpleNamespace(path=str(folder / "trend"))

    @property
    def stores(self) -> tuple[Storage, Storage]:
        return open_storage(self.urls[0]), open_storage(self.urls[1])

    def prepare(self) -> int:
        """Returns the version that is to predict."""
        batch.prepare(*self.common, *self.urls, self.plan)
        return int(self.plan.metadata["version"])

    def predict(self, shard: str) -> str:
        return batch.predict(*self.common, *self.urls, self.plan, shard)


@pytest.fixture
def run(
    served: Project,
    client: MlflowClient,
    state: str,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    return Run(served, tmp_path, bucket)


def test_a_champion_of_later_predicts_no_shard(run: Run, subset: Path, client: MlflowClient, state: str):
    images, _ = idx.read_split(subset, "test")
    pictures, target = run.stores
    for number, image in enumerate(images[:6]):
        pictures.write(f"{number}.png", png(image))
    assert run.prepare() == 1
    parts = [run.predict("1/2")]
    registry = Registry(client, MODEL)
    add_version(registry, subset, predictions(subset, wrong=[]), "another")
    promote(registry, 2, "it is better", "a test")

    parts += [run.predict("2/2")]
    batch.report(*run.common, run.urls[1], run.plan, parts, run.trend)

    tables = [pq.read_table(BytesIO(target.read(name) or b"")) for name in parts]
    assert [set(table["version"].to_pylist()) for table in tables] == [{1}, {1}]
    assert json.loads(target.read("_SUCCESS.json") or b"")["plan"]["version"] == 1
    assert re.fullmatch(
        rf"3 pictures, 0 unreadable, \d+ s without the start: {parts[1]}",
        read_statuses(state, "run-1")["predict 2/2"].line,
    )
    assert run.prepare() == 2


def test_without_pictures_or_when_mlflow_fails_or_is_missing_a_step_says_so(
    run: Run, state: str, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(SystemExit) as end:
        run.prepare()
    assert end.value.code == ExitCode.DATA
    assert read_statuses(state, "run-1")["prepare"].error == f"there is no picture at {run.urls[0]}/"

    refused = Mock(side_effect=MlflowException("the database is locked"))
    monkeypatch.setattr(batch, "champion_version", refused)
    with pytest.raises(SystemExit) as end:
        run.prepare()
    assert end.value.code == ExitCode.TRACKING
    status = read_statuses(state, "run-1")["prepare"]
    assert status.error == "MLflow refused or did not answer: the database is locked"
    assert "submit the run again" in status.hint

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(SystemExit) as end:
        run.prepare()
    assert end.value.code == ExitCode.TRACKING
