"""A batch on a real cluster: a lost pod, and what a second and a third submission predict. After test_pipeline.py."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.common import idx
from components.common.storage import open_storage
from components.predict.batch import SUCCESS
from tests.e2e.cluster import LOW, MODEL, NAMESPACE, NOW, QUICK, SMALL, Cluster, eventually, kubectl, run_id_of
from tests.support.pictures import png

pytest_plugins = ("tests.e2e.cluster",)
pytestmark = pytest.mark.e2e

PLACE = f"s3://fashion/e2e-{NOW}"
BATCH = (
    *("--batch", f"{PLACE}/images/", "--to", f"{PLACE}/predictions/", "--shards", "3"),
    *("--param", f"register.model_name={MODEL}"),
)


def test_a_batch_goes_on_after_a_lost_pod_and_predicts_nothing_twice(cluster: Cluster, real_data: Path):
    if not cluster.versions():
        assert cluster.submit(*QUICK, *LOW).code == 0
    images, labels = idx.read_split(real_data, "test")
    pictures, target = open_storage(f"{PLACE}/images"), open_storage(f"{PLACE}/predictions")
    for number, image in enumerate(images[:300]):
        pictures.write(f"{number:03}.png", png(image))

    one_by_one = ("--parallelism", "1", "--retries", "0")
    run_id = run_id_of(cluster.fashion("submit", *SMALL, *BATCH, *one_by_one).stdout)

    def second_pod() -> str:
        pods = cluster.pods(run_id) if any(name.startswith("part-00001") for name in target.names()) else []
        running = [pod for pod in pods if pod["status"]["phase"] == "Running"]
        return next((pod["metadata"]["name"] for pod in running if "2/3" in json.dumps(pod["spec"])), "")

    lost = eventually("the pod of the second shard", second_pod)
    kubectl("-n", NAMESPACE, "delete", "pod", lost, "--force", "--grace-period=0")
    assert cluster.fashion("runs", "wait", run_id).returncode != 0
    assert target.read(SUCCESS) is None

    second, third = cluster.submit(*BATCH), cluster.submit(*BATCH)

    there = "was there already"
    assert (second.code, third.code) == (0, 0)
    assert [there in second.step(f"predict {number}/3") for number in (1, 2, 3)] == [True, False, False]
    assert [there in third.step(f"predict {number}/3") for number in (1, 2, 3)] == [True, True, True]
    summary = json.loads(target.read(SUCCESS) or b"")
    tables = [pq.read_table(BytesIO(target.read(name) or b"")).to_pylist() for name in summary["parts"]]
    rows = [row for table in tables for row in table]
    assert [row["file"] for row in rows] == [f"{number:03}.png" for number in range(300)]
    classes = list(summary["classes"])
    assert np.mean([classes[label] == row["class"] for label, row in zip(labels, rows, strict=False)]) > 0.8
