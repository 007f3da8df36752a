"""The batch pipeline: its pods, what whoever waits sees of it, and a run in KFP's local runner."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from components.common import idx
from components.common.storage import open_storage
from components.predict.batch import SUCCESS
from pipeline.kubeflow.client.progress import steps_of
from pipeline.kubeflow.definition.arguments import Batch, batch_arguments
from pipeline.kubeflow.definition.pipelines import STEP_CPU, STEP_MEMORY
from pipeline.kubeflow.local.runner import _execute
from pipeline.kubeflow.runtime.step_status import read_statuses
from pipeline.params import load
from tests.golden.__main__ import write
from tests.support.compiled import BATCH_STEPS, GOLDEN, container, documents, tasks
from tests.support.pictures import png
from tests.support.project import Project

pytest_plugins = ("tests.support.s3_server",)


def test_the_pods_that_predict_have_their_own_resources_and_no_gpu(tmp_path: Path):
    path = write(
        tmp_path, "batch", gpus=0, node_selector={"pool": "a"}, cpu=("2", "6"), memory=("5Gi", "9Gi"),
        time_limit=60, retries=5, parallelism=4,
    )  # fmt: skip
    spec, platform = documents(path)

    of_predict = container(spec, "predict")["resources"]
    assert "accelerator" not in of_predict
    assert (of_predict["resourceCpuRequest"], of_predict["resourceCpuLimit"]) == ("2", "6")
    assert (of_predict["resourceMemoryRequest"], of_predict["resourceMemoryLimit"]) == ("5Gi", "9Gi")
    assert dict(platform["predict"].node_selector.labels) == {"pool": "a"}
    assert platform["predict"].active_deadline_seconds == 60
    for step in BATCH_STEPS - {"predict"}:
        resources = container(spec, step)["resources"]
        assert (resources["resourceCpuRequest"], resources["resourceMemoryLimit"]) == (
            *(STEP_CPU[0], STEP_MEMORY[1]),
        )
    assert {step: tasks(spec)[step].retry_policy.max_retry_count for step in BATCH_STEPS} == dict.fromkeys(
        BATCH_STEPS, 5
    )
    assert tasks(spec)["for-loop-1"].iterator_policy.parallelism_limit == 4


def test_no_step_is_ever_taken_from_the_cache_and_all_shards_are_started_at_once():
    spec, _ = documents(GOLDEN / "batch.yaml")

    assert [name for name, task in tasks(spec).items() if task.caching_options.enable_cache] == []
    assert tasks(spec)["for-loop-1"].iterator_policy.parallelism_limit == 0


def test_whoever_waits_sees_each_shard():
    spec = next(yaml.safe_load_all((GOLDEN / "batch.yaml").read_text()))
    run = SimpleNamespace(pipeline_spec=spec, runtime_config=None)

    assert [step.label for step in steps_of(run)] == [
        *("prepare", "predict 1/3", "predict 2/3", "predict 3/3", "report")
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("restored_environment", "state")
def test_a_run_in_the_local_runner(
    trained: Project, subset: Path, bucket: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{trained.root}/mlruns/mlflow.db")
    pictures, target = (open_storage(f"s3://{bucket}/{name}") for name in ("images", "predictions"))
    images, _ = idx.read_split(subset, "test")
    for number, image in enumerate(images[:5]):
        pictures.write(f"{number}.png", png(image))
    batch = Batch(pictures.place(""), target.place(""), 2)
    arguments = batch_arguments(load(trained.root / "params.yaml"), batch)

    succeeded, _ = _execute("batch", arguments, tmp_path / "kubeflow", cached=False)

    assert succeeded
    summary = json.loads(target.read(SUCCESS) or b"")
    assert (summary["plan"]["version"], summary["plan"]["pictures"], summary["unreadable"]) == (1, 5, 0)
    lines = {status.step: status.line for status in read_statuses(state, "run-1").values()}
    assert lines["prepare"] == "5 pictures for fashion-mnist version 1"
    for shard, count, part in ((1, 2, summary["parts"][0]), (2, 3, summary["parts"][1])):
        assert re.fullmatch(
            rf"{count} pictures, 0 unreadable, \d+ s without the start: {part}", lines[f"predict {shard}/2"]
        )
    assert lines["report"] == f"5 pictures, 0 unreadable, by version 1: {target.place(SUCCESS)}"
    (report,) = (tmp_path / "kubeflow").glob("*/report/trend")
    assert "Predicted by fashion-mnist version 1" in report.read_text()
