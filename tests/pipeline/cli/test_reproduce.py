"""`fashion reproduce`, against a real MLflow server."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from components.common import idx
from tests.support.mlflow_server import runs, versions
from tests.support.project import MODEL, Project

pytestmark = pytest.mark.usefixtures("restored_environment")


@pytest.fixture
def other_data(subset: Path, tmp_path: Path) -> Path:
    """The subset in the opposite order."""
    folder = tmp_path / "other"
    folder.mkdir()
    for split in idx.SPLITS:
        images, labels = idx.read_split(subset, split)
        idx.write(folder / idx.file_name(split, "images"), images[::-1])
        idx.write(folder / idx.file_name(split, "labels"), labels[::-1])
    return folder


def worktrees(project: Project) -> list[Path]:
    return [Path(line.split()[0]) for line in project.git("worktree", "list").splitlines()]


def record(client: MlflowClient, **changes: Any) -> dict[str, Any]:
    """Changes what the run of version 1 says of its training."""
    run_id = client.get_model_version(MODEL, "1").run_id
    mlflow.set_tracking_uri(client.tracking_uri)
    recorded: dict[str, Any] = mlflow.artifacts.load_dict(f"runs:/{run_id}/train/training.json")
    client.log_dict(run_id, recorded | changes, "train/training.json")
    return recorded


@pytest.mark.slow
def test_the_weights_are_those_of_the_version_whatever_the_project_holds_now(
    served: Project, client: MlflowClient, other_data: Path
):
    weights = served.json("outputs/train/training.json")["weights_digest"]
    client.set_model_version_tag(MODEL, "1", "git.dirty", "true")  # as of an experiment
    served.fashion("data", "adopt", str(other_data))
    served.change("train", "epochs", 1)
    with (served.root / "components" / "train" / "fit.py").open("a") as file:
        file.write("# not committed\n")
    before = served.git("status", "--short", "--", ":!.dvc")

    printed = served.fashion("reproduce", "1").stdout

    assert printed.splitlines()[-1] == "identical: the weights are those of version 1, bit for bit"
    assert f"weights              {weights[:12]}  {weights[:12]}" in printed
    assert "warning:" not in printed
    assert served.git("status", "--short", "--", ":!.dvc") == before
    assert worktrees(served) == [served.root]
    assert list((served.root / "build").iterdir()) == []
    assert versions(client) == [1]
    assert len(runs(client)) == 1


@pytest.mark.slow
def test_other_weights_with_what_differs(served: Project, client: MlflowClient, other_data: Path):
    served.fashion("data", "adopt", str(other_data))
    served.git("commit", "--quiet", "--message", "other data", "data.dvc")
    commit = served.git("rev-parse", "HEAD").strip()  # its data.dvc does not describe the version's data
    client.set_model_version_tag(MODEL, "1", "mlflow.source.git.commit", commit)
    recorded = record(client)
    params = recorded["params"] | {"train": recorded["params"]["train"] | {"seed": 2}}
    record(client, params=params, libraries=recorded["libraries"] | {"keras": "3.0.0"})
    installed = recorded["libraries"]["keras"]

    printed = served.fashion("reproduce", "1", "--keep", code=1).stdout

    assert f"warning: the weights may differ: keras was 3.0.0 and is {installed}" in printed
    assert [" ".join(line.split()) for line in printed.splitlines()[-4:-3]] == [f"keras 3.0.0 {installed}"]
    assert printed.splitlines()[-1] == (
        "different: the weights are not those of version 1; what differs is in the table"
    )
    _, kept = worktrees(served)
    made = Project(kept, served.environment).json("outputs/train/training.json")
    assert made["params"] == params
    assert made["data_version"] == recorded["data_version"]
    assert made["machines"] == recorded["machines"]
    assert made["weights_digest"] != recorded["weights_digest"]


@pytest.mark.slow
def test_an_interruption_leaves_nothing(served: Project):
    with subprocess.Popen(
        ["fashion", "reproduce", "1"],
        cwd=served.root,
        env=served.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("epoch 1/2"))
        assert len(worktrees(served)) == 2
        process.send_signal(signal.SIGTERM)  # goes the way of Ctrl-C
        _, error = process.communicate()
    assert process.returncode == 130
    assert error.splitlines()[-1] == "what to do: the same command begins the training anew"
    assert worktrees(served) == [served.root]
    assert list((served.root / "build").iterdir()) == []
