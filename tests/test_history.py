"""`fashion runs`: what came of the latest runs, as KFP, MLflow and the steps' notes know it."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from pipeline.kubeflow import cli
from pipeline.kubeflow.client import Kfp
from pipeline.kubeflow.history import Judged, RunRow, from_mlflow, latest
from pipeline.kubeflow.notes import Note, Notebook
from tests.conftest import free_port
from tests.kfp_server import START, KfpServer

pytest_plugins = ("tests.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


class Trainings:
    """MLflow with trainings that pipeline runs have worked on."""

    def __init__(self, uri: str) -> None:
        self.client = MlflowClient(uri)
        self.experiment = self.client.create_experiment("e")

    def add(self, accuracy: float | None, **words: str) -> None:
        """A training, with the word of each pipeline run that worked on it."""
        tags = {f"kubeflow_run.{run_id}": word for run_id, word in words.items()}
        run = self.client.create_run(self.experiment, tags={**tags, "gate": "passed"})
        if accuracy is not None:
            self.client.log_metric(run.info.run_id, "test_accuracy", accuracy)


@pytest.fixture
def trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainings:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return Trainings(uri)


def test_latest_runs(
    server: KfpServer,
    packages: dict[str, Path],
    trainings: Trainings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kfp, ids = Kfp(server.url), {}
    for name in ("passed", "rejected", "failed", "stopped"):
        server.recorded = name
        ids[name] = kfp.submit(packages["one"], name, "e", {"n": 3}).run_id
        server.looks[ids[name]] = server.looks[ids[name]][-1:]
    server.recorded = "passed"
    ids["begun"] = kfp.submit(packages["one"], "begun", "e", {"n": 3}).run_id

    trainings.add(0.9313, **{ids["passed"]: "passed", ids["begun"]: "passed", ids["failed"]: "claimed"})
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path / "state"))
    monkeypatch.setenv("FASHION_RUN_ID", ids["rejected"])
    notebook = Notebook()
    notebook.write(Note("evaluate", 1.0, "done", line="test accuracy 0.9012 (95 % interval 0.89 to 0.91)"))
    notebook.write(Note("gate", 2.0, "done", line="gate: rejected: accuracy 0.9012 < 0.92"))

    passed, rejected = Judged(0.9313, "passed"), Judged(0.9012, "rejected")
    rows = {
        "begun": RunRow(ids["begun"], "begun", "PENDING", START, None, Judged()),
        "stopped": RunRow(ids["stopped"], "stopped", "STOPPED", START, 60.0, Judged()),
        "failed": RunRow(ids["failed"], "failed", "FAILED", START, 52.0, Judged()),
        "rejected": RunRow(ids["rejected"], "rejected", "SUCCEEDED", START, 88.0, rejected),
        "passed": RunRow(ids["passed"], "passed", "SUCCEEDED", START, 85.0, passed),
    }
    assert latest(kfp, "e", 10) == list(rows.values())
    assert latest(kfp, "e", 2) == list(rows.values())[:2]
    assert latest(kfp, "no such experiment", 2) == []
    arguments = ["--host", server.url, "--experiment", "e"]
    assert "93.13%" in CliRunner().invoke(cli.runs, arguments).stdout

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cret@127.0.0.1:{free_port()}")  # it is away
    monkeypatch.setenv("FASHION_STATE_URL", "s3:///no-bucket")
    assert [row.judged for row in latest(kfp, "e", 5)] == [Judged()] * 5
    result = CliRunner().invoke(cli.runs, arguments)
    assert (result.exit_code, len(result.stderr.splitlines())) == (0, 1)
    assert "s3cret" not in result.stderr
    assert all(run_id in result.stdout for run_id in ids.values())


def test_runs_on_the_same_training_each_keep_their_verdict(trainings: Trainings) -> None:
    trainings.add(0.91, first="passed", second="rejected", halted="chosen")
    assert from_mlflow(["first", "second", "halted"]) == {
        "first": Judged(0.91, "passed"),
        "second": Judged(0.91, "rejected"),
    }


def test_of_a_sweep_the_judged_candidate_has_the_say(trainings: Trainings) -> None:
    trainings.add(0.93, sweep="claimed")
    trainings.add(0.92, sweep="rejected")
    trainings.add(0.94, sweep="claimed", other="passed")
    assert from_mlflow(["sweep"]) == {"sweep": Judged(0.92, "rejected")}


def test_store_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://store")
    assert from_mlflow(["any"]) == {}
    assert len(capsys.readouterr().err.splitlines()) == 1
