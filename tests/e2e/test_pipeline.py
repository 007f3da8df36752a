"""The pipeline on a real cluster, looked at from outside: `make e2e`. Not part of `make test`.

Needs KFP_HOST, a kubeconfig for that cluster, and the image of this commit on its nodes (FASHION_IMAGE, if
it has another name). It deploys infra/kubernetes/overlays/local, puts the data into its bucket, and leaves
both there. Each test goes on from the one before.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.common import idx
from components.common.errors import ExitCode
from components.common.files import data_listing, data_version
from components.common.storage import open_storage
from tests.e2e.cluster import (
    LOW,
    MODEL,
    NAMESPACE,
    NOW,
    QUICK,
    SMALL,
    Cluster,
    asks_for_gpu,
    eventually,
    kubectl,
    run_id_of,
)

pytest_plugins = ("tests.e2e.cluster",)
pytestmark = pytest.mark.e2e


def seed(number: int) -> tuple[str, str]:
    """A seed of this session's own."""
    return "--param", f"seed={NOW % 10**9 + number}"


def test_a_passed_gate_ends_with_a_champion_trained_on_the_gpu_node(cluster: Cluster):
    ended = cluster.submit(*QUICK, *LOW, *seed(1))

    assert ended.code == 0
    run = cluster.run_of(ended.run_id)
    assert (run.info.status, run.data.tags["gate"]) == ("FINISHED", "passed")
    champion = cluster.mlflow.get_model_version_by_alias(MODEL, "champion")
    assert (champion.version, champion.run_id) == ("1", run.info.run_id)
    assert champion.tags["weights_digest"] == run.data.tags["weights_digest"]
    pod = cluster.training_pod(ended.run_id)
    assert pod
    node = json.loads(kubectl("get", "node", pod["spec"]["nodeName"], "-o", "json"))
    assert int(node["status"]["allocatable"]["nvidia.com/gpu"]) > 0
    assert [taint["key"] for taint in node["spec"]["taints"]] == ["nvidia.com/gpu"]
    others = {p["spec"]["nodeName"] for p in cluster.pods(ended.run_id) if not asks_for_gpu(p)}
    assert pod["spec"]["nodeName"] not in others


def test_the_champion_is_loaded_from_outside_with_its_logged_accuracy(cluster: Cluster, real_data: Path):
    """By MLflow alone, through a port-forward, as anybody does it who was given the server's address."""
    script = (
        "import mlflow, numpy as np, sys\n"
        "folder, model = sys.argv[1:]\n"
        "images = np.fromfile(f'{folder}/t10k-images-idx3-ubyte', np.uint8, offset=16).reshape(-1, 28, 28)\n"
        "labels = np.fromfile(f'{folder}/t10k-labels-idx1-ubyte', np.uint8, offset=8)\n"
        "predicted = mlflow.pyfunc.load_model(f'models:/{model}@champion').predict(images).argmax(axis=1)\n"
        "print((predicted == labels).mean())\n"
    )
    bare = {name: os.environ[name] for name in ("PATH", "HOME")} | {
        "MLFLOW_TRACKING_URI": cluster.environment["MLFLOW_TRACKING_URI"]
    }

    loaded = subprocess.run(
        [sys.executable, "-c", script, str(real_data), MODEL],
        env=bare,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )

    champion = cluster.mlflow.get_model_version_by_alias(MODEL, "champion")
    assert float(loaded.stdout.split()[-1]) == float(champion.tags["test_accuracy"])


def test_an_unchanged_rerun_comes_from_the_cache(cluster: Cluster):
    ended = cluster.submit(*QUICK, *LOW, *seed(1))

    assert ended.code == 0
    assert cluster.training_pod(ended.run_id) is None
    for step in ("parameters", "ingest", "validate", "train", "evaluate"):
        assert "from cache" in ended.step(step), step
    assert cluster.versions() == [1]


def test_a_rejected_gate_registers_nothing(cluster: Cluster):
    ended = cluster.submit(*QUICK, "--param", "accuracy_min=0.99", *seed(2))

    assert ended.code == 0
    assert "skipped" in ended.step("register")
    assert "rejected: accuracy" in ended.step("gate")
    run = cluster.run_of(ended.run_id)
    assert (run.data.tags["gate"], run.info.status) == ("rejected", "FINISHED")
    assert cluster.versions() == [1]


def test_a_failing_step_shows_its_reason_and_fails_the_mlflow_run(cluster: Cluster):
    ended = cluster.submit(*QUICK, *LOW, *seed(3), "--param", "train.learning_rate=100")

    assert ended.code == 1
    assert "failed" in ended.step("train")
    assert "error: the run failed in train: the loss is not finite" in ended.output
    assert cluster.run_of(ended.run_id).info.status == "FAILED"


def test_a_pod_that_is_deleted_goes_on_from_its_checkpoint_to_the_same_weights(cluster: Cluster):
    arguments = (*QUICK, "--param", "epochs=4", *LOW, *seed(4), "--no-cache")
    storage = open_storage("s3://fashion/state")
    before = set(storage.names("checkpoints/"))
    result = cluster.fashion("submit", *SMALL, *arguments)
    run_id = run_id_of(result.stdout)
    eventually("a checkpoint", lambda: set(storage.names("checkpoints/")) - before, 400)
    pod = eventually("the training pod", lambda: cluster.training_pod(run_id))
    kubectl("-n", NAMESPACE, "delete", "pod", pod["metadata"]["name"], "--force", "--grace-period=0")
    waited = cluster.fashion("runs", "wait", run_id)

    assert waited.returncode == 0
    survivor = cluster.training_pod(run_id)
    assert survivor
    assert survivor["metadata"]["uid"] != pod["metadata"]["uid"]
    log = kubectl("-n", NAMESPACE, "logs", survivor["metadata"]["name"], "-c", "main")
    assert "going on after epoch" in log
    interrupted = cluster.run_of(run_id).data.tags["weights_digest"]
    assert set(storage.names("checkpoints/")) <= before
    undisturbed = cluster.submit(*arguments)
    assert undisturbed.code == 0
    survivor = cluster.training_pod(undisturbed.run_id)
    assert survivor
    log = kubectl("-n", NAMESPACE, "logs", survivor["metadata"]["name"], "-c", "main")
    assert "going on after epoch" not in log
    assert f"weights {interrupted[:12]}" in undisturbed.step("train")


def test_on_a_new_version_of_the_data_the_champion_is_measured(
    cluster: Cluster, real_data: Path, tmp_path: Path
):
    """Of the same images in another order, so that the champion's accuracy is known."""
    for name in idx.FILE_NAMES:
        shutil.copy(real_data / name, tmp_path)
    images, labels = idx.read_split(real_data, "test")
    idx.write(tmp_path / idx.file_name("test", "images"), np.flip(images, axis=0))
    idx.write(tmp_path / idx.file_name("test", "labels"), np.flip(labels))
    storage, version = open_storage("s3://fashion/dvc"), data_version(tmp_path)
    listing = data_listing(tmp_path)
    storage.write(f"files/md5/{version[:2]}/{version[2:]}", listing)
    for file in json.loads(listing):
        content = (tmp_path / file["relpath"]).read_bytes()
        storage.write(f"files/md5/{file['md5'][:2]}/{file['md5'][2:]}", content)
    before = cluster.mlflow.get_model_version_by_alias(MODEL, "champion")

    ended = cluster.submit(*QUICK, *LOW, *seed(6), "--param", f"data_version={version}")

    assert ended.code == 0
    accuracy = float(before.tags["test_accuracy"])
    assert f"champion {before.version}: accuracy" in ended.step("gate")
    version = cluster.mlflow.get_model_version(MODEL, str(max(cluster.versions())))
    comparison = json.loads(version.tags["comparison"])
    assert comparison["champion_accuracy"] == comparison["old_data"]["champion_accuracy"] == accuracy


def test_the_cron_job_sets_an_alias_that_was_lost(cluster: Cluster):
    before = cluster.mlflow.get_registered_model(MODEL).aliases
    cluster.mlflow.delete_registered_model_alias(MODEL, "champion")

    new = ("create", "job", "--from=cronjob/reconcile", MODEL, "--dry-run=client", "-o", "json")
    job = json.loads(kubectl("-n", "fashion", *new))
    job["spec"]["template"]["spec"]["containers"][0]["command"][-1] = MODEL
    kubectl("-n", "fashion", "create", "-f", "-", stdin=json.dumps(job))
    kubectl("-n", "fashion", "wait", "--for=condition=complete", "--timeout=180s", f"job/{MODEL}")
    kubectl("-n", "fashion", "delete", "job", MODEL)

    assert cluster.mlflow.get_registered_model(MODEL).aliases == before


def test_without_enough_gpus_training_waits_and_says_why(cluster: Cluster):
    result = cluster.fashion(
        "submit", *SMALL, *QUICK, *LOW, *seed(5), "--gpu", "64", "--wait", "--timeout", "90"
    )
    run_id = run_id_of(result.stdout)

    pod = cluster.training_pod(run_id)
    assert pod
    assert pod["status"]["phase"] == "Pending"
    assert "Insufficient nvidia.com/gpu" in result.stdout
    assert result.returncode != 0
    assert cluster.fashion("runs", "stop", run_id).returncode == 0


def test_without_its_image_a_run_is_not_waited_for_and_can_be_ended(cluster: Cluster):
    """The exit handler's pod has the same image: KFP alone would never end the run."""
    missing = "fashion-pipeline:000000000000"
    waited = cluster.fashion("submit", "--wait", *SMALL, *QUICK, *LOW, *seed(7), "--image", missing)
    run_id = run_id_of(waited.stdout)

    assert waited.returncode == ExitCode.CLUSTER
    assert cluster.fashion("runs", "stop", run_id).returncode == 0

    workflows = json.loads(
        kubectl("-n", NAMESPACE, "get", "workflows", "-l", f"pipeline/runid={run_id}", "-o", "json")
    )
    (workflow,) = workflows["items"]
    assert workflow["status"]["phase"] in ("Failed", "Error")
    assert [pod for pod in cluster.pods(run_id) if pod["status"]["phase"] in ("Pending", "Running")] == []


def test_a_schedule_fires(cluster: Cluster):
    name = f"e2e{NOW}"
    created = cluster.fashion(
        "schedule", "--cron", "*/20 * * * * *", "--name", name, *SMALL, *QUICK, *LOW, *seed(1)
    )
    assert created.returncode == 0
    try:

        def fired() -> list[str]:
            lines = cluster.fashion("runs").stdout.splitlines()
            return [line.split()[0] for line in lines if name in line]

        (run_id,) = eventually("a run of the schedule", fired, 180)
        assert cluster.fashion("schedule", "pause", name).returncode == 0
        assert name in cluster.fashion("schedule", "list").stdout
        assert cluster.fashion("runs", "wait", run_id).returncode == 0
    finally:
        assert cluster.fashion("schedule", "delete", name).returncode == 0
    assert name not in cluster.fashion("schedule", "list").stdout
