"""The latest runs, with results from MLflow and from the step statuses."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from components.common.storage import FolderStorage
from pipeline.cli.runs import runs
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.pods import Pods
from pipeline.kubeflow.client.runs import DELETED, RunResult, RunSummary, from_mlflow, from_statuses, latest
from pipeline.kubeflow.runtime.step_status import StatusStore, StepStatus
from tests.support.kfp_fixtures import start_run
from tests.support.kfp_server import START, KfpServer
from tests.support.kube_server import KubeServer
from tests.support.mlflow_server import serving
from tests.support.ports import free_port

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")

NEEDED = ("evaluate", "gate")


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


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables, which take seconds to make."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def trainings(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trainings:
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'mlflow.db')}"
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
        ids[name] = start_run(kfp, packages["one"], name, "e", {"n": 3}).run_id
        server.looks[ids[name]] = server.looks[ids[name]][-1:]
    server.recorded = "passed"
    ids["begun"] = start_run(kfp, packages["one"], "begun", "e", {"n": 3}).run_id

    trainings.add(0.9313, **{ids["passed"]: "passed", ids["begun"]: "passed", ids["failed"]: "claimed"})
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path / "state"))
    monkeypatch.setenv("FASHION_RUN_ID", ids["rejected"])
    store = StatusStore()
    store.write(StepStatus("evaluate", 1.0, "done", line="test accuracy 0.9012 (95 % interval 0.89 to 0.91)"))
    store.write(StepStatus("gate", 2.0, "done", line="gate: rejected: accuracy 0.9012 < 0.92"))

    passed, rejected = RunResult(0.9313, "passed"), RunResult(0.9012, "rejected")
    rows = {
        "begun": RunSummary(ids["begun"], "begun", "PENDING", START, None, RunResult()),
        "stopped": RunSummary(ids["stopped"], "stopped", "STOPPED", START, 60.0, RunResult()),
        "failed": RunSummary(ids["failed"], "failed", "FAILED", START, 52.0, RunResult()),
        "rejected": RunSummary(ids["rejected"], "rejected", "SUCCEEDED", START, 88.0, rejected),
        "passed": RunSummary(ids["passed"], "passed", "SUCCEEDED", START, 85.0, passed),
    }
    assert latest(kfp, "e", 10) == list(rows.values())
    assert latest(kfp, "e", 2) == list(rows.values())[:2]
    assert latest(kfp, "no such experiment", 2) == []
    arguments = ["--host", server.url, "--experiment", "e"]
    assert "93.13%" in CliRunner().invoke(runs, arguments).stdout

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cret@127.0.0.1:{free_port()}")  # it is away
    monkeypatch.setenv("FASHION_STATE_URL", "s3:///no-bucket")
    assert [row.result for row in latest(kfp, "e", 5)] == [RunResult()] * 5
    result = CliRunner().invoke(runs, arguments)
    assert (result.exit_code, len(result.stderr.splitlines())) == (0, 1)
    assert "s3cret" not in result.stderr
    assert all(run_id in result.stdout for run_id in ids.values())


def test_runs_on_the_same_training_each_keep_their_verdict(trainings: Trainings) -> None:
    trainings.add(0.91, first="passed", second="rejected", halted="chosen")
    assert from_mlflow(["first", "second", "halted"]) == {
        "first": RunResult(0.91, "passed"),
        "second": RunResult(0.91, "rejected"),
    }


def test_of_a_sweep_the_judged_candidate_has_the_say(trainings: Trainings) -> None:
    trainings.add(0.93, sweep="claimed")
    trainings.add(0.92, sweep="rejected")
    trainings.add(0.94, sweep="claimed", other="passed")
    assert from_mlflow(["sweep"]) == {"sweep": RunResult(0.92, "rejected")}


def test_mlflow_is_asked_twice_however_many_runs(
    empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings(f"sqlite:///{shutil.copy(empty_store, tmp_path / 'server.db')}")
    trainings.add(0.92, **{f"old{number}": "passed" for number in range(20)})
    for number in range(14):
        trainings.add(0.9 + number / 1000, **{f"new{number}": "passed"})
    with serving(tmp_path) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        paths: list[str] = []
        send = HTTPAdapter.send

        def counted(self: HTTPAdapter, request: PreparedRequest, **options: Any) -> Response:
            paths.append(str(request.path_url).partition("?")[0].rpartition("/mlflow/")[2])
            return send(self, request, **options)

        monkeypatch.setattr(HTTPAdapter, "send", counted)
        asked = [*(f"old{number}" for number in range(20)), *(f"new{number}" for number in range(14))]
        known = from_mlflow(asked)
        searches = [path for path in paths if path.endswith("/search")]
    assert set(known) == set(asked)
    assert (known["old19"], known["new13"]) == (RunResult(0.92, "passed"), RunResult(0.913, "passed"))
    assert searches == ["experiments/search", "runs/search"]
    assert len(paths) == 2


def test_runs_on_a_second_page_are_found_and_there_it_ends(
    trainings: Trainings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.kubeflow.client.runs.PAGE_SIZE", 2)
    for number in range(5):
        trainings.add(0.9, **{f"run{number}": "passed"})
    assert set(from_mlflow(["run0", "run1", "run3", "none"])) == {"run1", "run3"}


def test_deleted_run_shows_so(trainings: Trainings) -> None:
    for run_ids in (("gone", "again", "tried"), ("again",), ("left",)):
        trainings.add(0.93, **{run_id: "claimed" if run_id == "tried" else "passed" for run_id in run_ids})
    runs = {tuple(run.data.tags): run.info.run_id for run in trainings.client.search_runs(["1"])}
    trainings.client.delete_run(next(run_id for tags, run_id in runs.items() if "kubeflow_run.gone" in tags))
    assert from_mlflow(["gone", "again", "tried", "left"]) == {
        "gone": RunResult(None, DELETED),
        "again": RunResult(0.93, "passed"),
        "left": RunResult(0.93, "passed"),
    }
    trainings.client.delete_experiment("1")
    assert from_mlflow(["left"]) == {"left": RunResult(None, DELETED)}


def test_only_the_statuses_that_are_needed_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASHION_STATE_URL", str(tmp_path))
    for run_id in ("one", "two"):
        monkeypatch.setenv("FASHION_RUN_ID", run_id)
        for step in ("ingest", "train", "evaluate", "gate"):
            StatusStore().write(StepStatus(step, 1.0, "done", line="gate: passed" if step == "gate" else ""))
    read: list[str] = []
    monkeypatch.setattr(FolderStorage, "names", lambda *_: pytest.fail("everything was listed"))
    real = FolderStorage.read

    def record(self: FolderStorage, name: str) -> bytes | None:
        read.append(name)
        return real(self, name)

    monkeypatch.setattr(FolderStorage, "read", record)
    assert from_statuses(Pods("kubeflow"), ["one", "two", "none"])["two"] == RunResult(None, "passed")
    assert sorted(read) == [f"runs/{run}/{step}.json" for run in ("none", "one", "two") for step in NEEDED]


def test_run_that_argo_has_ended_shows_so(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path]
) -> None:
    kfp = Kfp(server.url)
    for recorded in ("passed", "failed", "passed"):
        server.recorded = recorded
        start_run(kfp, packages["one"], recorded, "e", {"n": 3})
    server.looks[server.runs[1]["run_id"]] = [60]  # the only one that has ended for KFP
    assert [row.state for row in latest(kfp, "e", 3)] == ["PENDING", "FAILED", "PENDING"]
    kube.workflow["status"]["phase"] = "Error"
    open_ = "PENDING, Argo: FAILED"
    assert [row.state for row in latest(kfp, "e", 3)] == [open_, "FAILED", open_]
    assert len(kube.calls_of("GET", "/workflows")) == 2


def test_store_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://store")
    assert from_mlflow(["any"]) == {}
    assert len(capsys.readouterr().err.splitlines()) == 1
