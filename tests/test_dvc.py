"""The pipeline as DVC runs it: what reruns, what survives, what is left behind."""

import ast
import csv
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML

from tests.support.project import ROOT, Project, new_project


def embedded(project: Project) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project.root}/mlruns/mlflow.db")


def half_written(project: Project) -> list[Path]:
    return [p for folder in (project.root, project.root / "outputs") for p in folder.glob(".*partial*")]


def test_a_changed_threshold_reruns_gate_and_register_alone(project: Project):
    project.change("gate", "accuracy_min", 0.51)

    assert project.reproduce() == ["gate", "register"]
    assert project.reproduce() == []


@pytest.mark.slow
def test_another_bound_with_the_same_verdict_does_not_retrain(project: Project):
    project.change("validate", "class_share", {"min": 0.08, "max": 0.12, "severity": "critical"})

    assert project.reproduce() == ["validate", "register"]  # the model card says what was validated


@pytest.mark.parametrize(
    ("component", "rerun"),
    [
        ("validate", ["validate"]),
        ("gate", ["gate"]),
        pytest.param("evaluate", ["evaluate"], marks=pytest.mark.slow),
        pytest.param("register", ["register"], marks=pytest.mark.slow),
        pytest.param("train", ["train", "evaluate", "gate", "register"], marks=pytest.mark.slow),
    ],
)
def test_a_comment_reruns_its_step_and_what_depends_on_it(project: Project, component: str, rerun: list[str]):
    with (project.root / "components" / component / "step.py").open("a") as file:
        file.write("# a comment\n")

    ran = project.reproduce()

    assert ran == rerun


def test_every_stage_depends_on_the_code_that_it_runs():
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    for name, stage in stages.items():
        step = ROOT / "components" / name
        used = {name}
        for path in step.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                module = node.module if isinstance(node, ast.ImportFrom) else None
                if module and module.startswith("components."):
                    used.add(module.split(".")[1])
        declared = {dep.split("/")[1] for dep in stage["deps"] if dep.startswith("components/")}
        assert used == declared, name


@pytest.mark.slow
def test_an_experiment_is_dvcs_and_records_into_the_projects_store(project: Project):
    before = project.json("outputs/evaluate/metrics.json")["accuracy"]

    # In a copy of the project below .dvc/tmp, as the queue does it.
    project.run("dvc", "exp", "run", "--temp", "--name", "short", "--set-param", "train.epochs=1")
    (run,) = embedded(project).search_runs(["1"])
    assert run.data.params["train.epochs"] == "1"

    project.run("dvc", "exp", "apply", "short")
    after = project.json("outputs/evaluate/metrics.json")["accuracy"]
    assert run.data.metrics["test_accuracy"] == after < before
    metrics = json.loads(project.run("dvc", "metrics", "diff", "--json").stdout)
    assert metrics["outputs/evaluate/metrics.json"]["accuracy"]["diff"] == pytest.approx(after - before)
    params = json.loads(project.run("dvc", "params", "diff", "--json").stdout)
    assert params == {"params.yaml": {"train.epochs": {"old": 2, "new": 1, "diff": -1}}}
    summary = project.fashion("summary").stdout
    assert "the last registration was of another model" in summary
    assert f"{after:.2%}" in summary
    plots = json.loads(project.run("dvc", "plots", "show", "--json").stdout)
    assert {"training", "loss", "confusion"} <= plots["data"].keys()


def wait_for_kept_epoch(process: subprocess.Popen[str]) -> None:
    """Waits for the second epoch: the state of the first is kept by then."""
    assert process.stdout
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            return
    pytest.fail("training ended before its second epoch did")


def wait_for_group(group: int) -> None:
    """Waits until the last process of a group is gone: DVC's lock is its process's."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail(f"the process group {group} does not end")


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [pytest.param(signal.SIGINT, id="ctrl-c"), pytest.param(signal.SIGKILL, id="kill-9")]
)
def test_training_that_is_stopped_leaves_nothing_half_written_and_runs_again(
    project: Project, how: signal.Signals
):
    project.change("model", "name", "resnet-s")
    project.change("train", "epochs", 5)
    process = subprocess.Popen(
        ["fashion", "run"],
        cwd=project.root,
        env=project.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell that runs this suite in the background has Ctrl-C ignored, for all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        wait_for_kept_epoch(process)
        os.killpg(process.pid, how)
        rest = process.communicate(timeout=60)[0]
        wait_for_group(process.pid)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in rest
    assert half_written(project) == []
    assert not (project.root / "outputs/train/model.keras").exists()
    (kept,) = (project.root / "outputs/.training").glob("*.npz")
    with np.load(kept) as state:
        epochs_before = json.loads(str(state["history"]))
    assert 1 <= len(epochs_before) < 5
    (run,) = embedded(project).search_runs(["1"])
    assert run.info.status == ("KILLED" if how == signal.SIGINT else "RUNNING")

    project.run("dvc", "repro", "train")

    (again,) = embedded(project).search_runs(["1"])
    assert again.info.run_id == run.info.run_id
    assert again.info.status == "FINISHED"
    history = embedded(project).get_metric_history(run.info.run_id, "loss")
    assert [point.step for point in history] == list(range(1, 6))
    with (project.root / "outputs/train/history.csv").open(newline="") as file:
        epochs = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    seconds = project.json("outputs/train/performance.json")["epochs"]
    epochs = [row | measured for row, measured in zip(epochs, seconds, strict=True)]
    assert epochs[: len(epochs_before)] == epochs_before  # their seconds too: they were not trained again
    resumed = project.json("outputs/train/training.json")
    assert not list((project.root / "outputs/.training").iterdir())

    project.run("dvc", "repro", "--force", "--single-item", "train")

    assert project.json("outputs/train/training.json")["weights_digest"] == resumed["weights_digest"]


@pytest.mark.slow
def test_without_git_everything_works_and_the_commit_is_left_out(subset: Path, tmp_path: Path):
    local = tmp_path / "unpacked" / ".dvc" / "config.local"
    local.parent.mkdir(parents=True)
    local.write_text("[core]\n    remote = mine\n['remote \"mine\"']\n    url = /nowhere\n")
    project = new_project(tmp_path / "unpacked", subset, git=False)
    project.change("model", "name", "resnet-s")
    project.change("train", "epochs", 1)
    project.change("gate", "accuracy_min", 0.1)

    summary = project.fashion("run").stdout

    assert "fashion-mnist version 1, champion" in summary
    tags = embedded(project).get_model_version("fashion-mnist", "1").tags
    assert "mlflow.source.git.commit" not in tags
    assert project.reproduce() == []
    project.init_git()
    project.fashion("data")  # from now on DVC may use git
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "start")
    project.run("dvc", "metrics", "diff")


@pytest.mark.slow
def test_a_store_that_was_moved_is_refused_and_not_written_to_its_old_place(project: Project, tmp_path: Path):
    project.fashion("run")
    moved = Project(tmp_path / "moved", project.environment)
    project.root.rename(moved.root)

    result = moved.fashion("run", code=7)

    assert str(project.root) in result.stderr
    assert not (project.root / "mlruns").exists()
    shutil.rmtree(moved.root / "mlruns")
    assert "fashion-mnist version 1, champion" in moved.fashion("run").stdout
