"""The pipeline in KFP's local runner, end to end on the subset: results, cache, failed steps, a sweep."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from mlflow import MlflowClient

from tests.conftest import made_once
from tests.support.mlflow_server import runs, versions
from tests.support.project import Project, environment_of, new_project

STEPS = ["parameters", "ingest", "validate", "train", "evaluate", "gate", "register"]
STORE = "mlruns/mlflow.db"


def run_local(project: Project, *arguments: str, code: int = 0) -> dict[str, str]:
    """Runs the pipeline and returns each step's state."""
    output = project.fashion("run-local", *arguments, code=code).stdout
    table = output.split("\nstep ")[1].splitlines()[2:]
    states = ("ran", "from cache", "skipped", "failed", "not run")
    found = {}
    for line in table:
        state = next((s for s in states if f" {s} " in f"{line} "), None)
        if state is None:
            break
        found[line.partition(f" {state}")[0].strip()] = state
    return found


def artifact(project: Project, name: str) -> Path:
    """The newest artifact `TASK/NAME` of a run."""
    return max((project.root / "outputs" / "kubeflow").glob(f"*/{name}"), key=lambda p: p.stat().st_mtime)


def client(project: Project) -> MlflowClient:
    return MlflowClient(project.environment.get("MLFLOW_TRACKING_URI", f"sqlite:///{project.root}/{STORE}"))


@pytest.fixture(scope="session")
def first_run(subset: Path, shared_folder: Path) -> Project:
    root = shared_folder / "run-local" / "project"
    project = Project(root, environment_of(root))
    with made_once(root.parent) as is_first:
        if is_first:
            new_project(root, subset)
            (root / "states.json").write_text(json.dumps(run_local(project)))
            shutil.copytree(root, root.with_name("first-run"))
    return project


@pytest.fixture
def local(first_run: Project, tmp_path: Path) -> Iterator[Project]:
    """A project whose pipeline has run locally, as that run left it, whatever other tests did to it.

    One folder, for one test at a time: KFP's cache has absolute paths. Only the store of runs has a place of
    its own: MLflow keeps connections to it open.
    """
    root = first_run.root
    with FileLock(root.with_name("in-use")):
        shutil.rmtree(root)
        shutil.copytree(root.with_name("first-run"), root)
        shutil.move(root / STORE, tmp_path / "mlflow.db")
        yield Project(
            root, first_run.environment | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/mlflow.db"}
        )


def test_the_results_are_those_of_dvc(local: Project, trained: Project):
    assert local.json("states.json") == dict.fromkeys(STEPS, "ran")

    ours = json.loads((artifact(local, "train/trained") / "training.json").read_text())
    theirs = trained.json("outputs/train/training.json")
    assert ours["weights_digest"] == theirs["weights_digest"]
    assert ours["run_key"] == theirs["run_key"]
    evaluation = json.loads((artifact(local, "evaluate/evaluation") / "metrics.json").read_text())
    assert evaluation == trained.json("outputs/evaluate/metrics.json")
    gate = json.loads((artifact(local, "gate/verdict") / "gate.json").read_text())
    assert gate == trained.json("outputs/gate/gate.json")
    outcome = artifact(local, "register/registration").with_name("registration-outcome.json")
    registration = json.loads(outcome.read_text())
    assert (registration["version"], registration["alias"]) == (1, "champion")


@pytest.mark.slow
def test_dvc_after_it_adds_neither_run_nor_version(local: Project, tmp_path: Path):
    copy = tmp_path / "project"
    shutil.copytree(local.root, copy, ignore=shutil.ignore_patterns("site", "__pycache__", "kubeflow"))
    project = Project(copy, local.environment | environment_of(copy))

    project.reproduce()

    assert project.json("mlruns/registration-outcome.json")["version"] == 1
    assert len(runs(client(local))) == 1
    assert versions(client(local)) == [1]


@pytest.mark.slow
def test_an_unchanged_rerun_comes_from_the_cache(local: Project):
    states = run_local(local)

    assert states == dict.fromkeys(STEPS, "from cache") | {"gate": "ran", "register": "ran"}
    assert len(runs(client(local))) == 1
    assert versions(client(local)) == [1]


def test_a_rejected_gate_ends_well_and_registers_nothing(local: Project):
    output = local.fashion("run-local", "--param", "accuracy_min=0.999").stdout

    assert output.splitlines()[-1].startswith("rejected: accuracy 0.")
    states = output.split("\nstep ")[1]
    assert [line.split()[1] for line in states.splitlines() if line.startswith("register")] == ["skipped"]
    (run,) = runs(client(local))
    assert (run.data.tags["gate"], run.info.status) == ("rejected", "FINISHED")
    assert versions(client(local)) == [1]


@pytest.mark.slow
def test_changed_code_is_not_served_from_the_cache_and_a_failed_step_is_named(local: Project, tmp_path: Path):
    root = tmp_path / "project"
    shutil.copytree(local.root, root, ignore=shutil.ignore_patterns("site", "__pycache__", "mlruns"))
    broken = Project(root, environment_of(root))
    with (root / "components" / "evaluate" / "metrics.py").open("a") as file:
        file.write("raise RuntimeError('broken on purpose')\n")
    # The cache of the first run is there, with all its artifacts: only the code differs.
    states = run_local(broken, code=1)

    assert states == {
        **dict.fromkeys(["parameters", "ingest", "validate", "train"], "ran"),
        "evaluate": "failed",
        **dict.fromkeys(["gate", "register"], "not run"),
    }
    summary = artifact(broken, "finish/summary").read_text()
    assert summary.splitlines()[0] == "**failed** in evaluate: RuntimeError: broken on purpose"
    (run,) = [r for r in runs(client(broken)) if r.info.status == "FAILED"]
    assert "chosen" in run.data.tags.values()


@pytest.mark.slow
def test_a_sweep_registers_the_best_by_validation_once(local: Project):
    output = local.fashion(
        "run-local", "--sweep", "train.epochs=1", "--sweep", "train.epochs=2 train.batch_size=50"
    ).stdout

    states = output.split("\nstep ")[1].splitlines()
    assert sum(line.startswith("train ") and " ran " in line for line in states) == 2
    trained = [
        json.loads((p / "training.json").read_text()) for p in _newest_run(local).rglob("train*/trained")
    ]
    chosen = json.loads((artifact(local, "select/trained") / "training.json").read_text())
    best = max(trained, key=lambda t: t["validation"]["accuracy"])
    assert len({t["weights_digest"] for t in trained}) == 2
    assert chosen["weights_digest"] == best["weights_digest"]
    registration = json.loads(artifact(local, "register/registration").read_text())
    assert registration["weights_digest"] == best["weights_digest"]
    assert versions(client(local)) == [1, 2]
    evaluated = [r for r in runs(client(local)) if "test_accuracy" in r.data.metrics]
    assert len(evaluated) == 2  # the first run's model, and the best of the sweep; never the others


def _newest_run(project: Project) -> Path:
    return artifact(project, "select/trained").parents[1]
