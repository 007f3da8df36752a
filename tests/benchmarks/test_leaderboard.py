"""The leaderboard, on the subset: the real steps, a real store, and going on where it was stopped."""

import shutil
import sys

import pytest
from mlflow import MlflowClient

from benchmarks.leaderboard import trials
from benchmarks.train import CONTESTANTS, rows_of, summary
from benchmarks.trial import reached_after, seconds_until
from tests.support.mlflow_server import runs
from tests.support.project import ROOT, Project

COMMAND = (sys.executable, "-m", "benchmarks.leaderboard", "--epochs-scale", "0.1", "--models")
CURVE = [(10.0, 0.80), (20.0, 0.90), (30.0, 0.89)]


@pytest.mark.slow
def test_the_leaderboard_goes_on_where_it_was(project: Project):
    shutil.copytree(
        ROOT / "benchmarks", project.root / "benchmarks", ignore=shutil.ignore_patterns("__pycache__")
    )
    folder = project.root / "outputs" / "trials"
    project.run(*COMMAND, "mlp-128-64")
    first = (folder / "mlp-128-64-seed1-1-epochs/outputs/train/training.json").stat().st_mtime_ns

    project.change("gate", "accuracy_min", 0.999)
    project.run(*COMMAND, "mlp-128-64,cnn-32-100")

    assert (folder / "mlp-128-64-seed1-1-epochs/outputs/train/training.json").stat().st_mtime_ns == first
    table = (folder / "leaderboard.md").read_text()
    for name in ("mlp-128-64", "cnn-32-100"):
        accuracy = project.json(f"outputs/trials/{name}-seed1-1-epochs/outputs/evaluate/metrics.json")[
            "accuracy"
        ]
        row = next(line for line in table.splitlines() if line.startswith(f"| `{name}`"))
        assert f"{accuracy:.2%}" in row
        assert "rejected" in row
    assert "542,230" in table
    assert (folder / "leaderboard.png").read_bytes().startswith(b"\x89PNG")
    client = MlflowClient(f"sqlite:///{project.root}/mlruns/mlflow.db")
    found = runs(client, "fashion-mnist-quick-look")
    (parent,) = (run for run in found if "mlflow.parentRunId" not in run.data.tags)
    nested = {run.data.params["model.name"]: run for run in found if run != parent}
    assert len(found) == 3
    assert {run.data.tags["mlflow.parentRunId"] for run in nested.values()} == {parent.info.run_id}
    assert nested["cnn-32-100"].data.params["train.epochs"] == "1"
    assert nested["mlp-128-64"].data.tags["gate"] == "rejected"
    assert not client.search_registered_models()


def test_the_default_model_is_tried_for_fewer_epochs_too():
    assert [(t.model, t.epochs) for t in trials(["resnet-s", "cnn-32"], 1, 1)] == [
        ("resnet-s", None),
        ("cnn-32", None),
        ("resnet-s", 1),
        ("resnet-s", 3),
    ]
    assert [(t.model, t.epochs) for t in trials(["resnet-s", "cnn-32"], 1, 0.1)] == [
        ("resnet-s", 1),
        ("cnn-32", 5),
    ]


def test_an_unknown_model_is_refused(project: Project):
    shutil.copytree(ROOT / "benchmarks", project.root / "benchmarks")

    result = project.run(*COMMAND, "cnn-23", code=2)

    assert "cnn-32-100" in result.stderr


@pytest.mark.parametrize(("seconds", "accuracy"), [(9, None), (10, 0.80), (29, 0.90), (99, 0.89)])
def test_accuracy_at_equal_time_is_of_the_last_epoch_that_had_ended(seconds: float, accuracy: float | None):
    assert reached_after(CURVE, seconds) == accuracy


@pytest.mark.parametrize(("accuracy", "seconds"), [(0.5, 10), (0.81, 20), (0.9, 20), (0.91, None)])
def test_time_to_an_accuracy_is_of_the_first_epoch_that_reached_it(accuracy: float, seconds: float | None):
    assert seconds_until(CURVE, accuracy) == seconds


def test_the_plain_way_and_ours_are_compared_at_the_same_accuracy_and_the_same_seconds():
    plain = [(10.0, 0.88), (20.0, 0.90), (30.0, 0.89)]  # its final accuracy is first passed at 20 s
    ours, slow = [(4.0, 0.85), (8.0, 0.92), (40.0, 0.95)], [(50.0, 0.80)]
    curves = dict(
        zip([contestant.name for contestant in CONTESTANTS], [plain, ours, slow, slow], strict=True)
    )

    rows = rows_of(curves)

    assert rows[0][1:] == ("30", "89.00%", "20", "1.0", "never", "plain never", "89.00%")
    assert rows[1][1:] == ("40", "95.00%", "8", "2.5", "8", "plain never", "92.00%")
    assert rows[2][1:] == ("50", "80.00%", "never", "0.0", "never", "plain never", "-")
    lines = summary([curves, curves]).splitlines()
    assert "91.14 % in 0 of 2 rounds" in lines[0]
    assert "91.14 % in 2 of 2 rounds; plain's final accuracy 2.5 times as fast;" in lines[1]
    assert lines[1].endswith("after the same seconds +3.00 points")
    assert lines[2].endswith("plain's final accuracy never; after the same seconds never")
