"""Runs and the registry, on a real MLflow server and on the embedded store."""

import json
import shutil
import socket
import sys
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from components.common import idx
from pipeline.store import display_uri, store_folder
from tests.conftest import Project, Server, new_project

NAME = "fashion-mnist"


@pytest.fixture
def served(project: Project, mlflow_server: Server) -> Project:
    """The trained project, registered on a server."""
    project.environment["MLFLOW_TRACKING_URI"] = mlflow_server.url
    (project.root / "mlruns" / "registration.json").unlink()
    assert project.reproduce() == ["register"]
    return project


@pytest.fixture
def client(mlflow_server: Server) -> MlflowClient:
    return MlflowClient(mlflow_server.url)


def versions(client: MlflowClient) -> list[int]:
    return sorted(int(v.version) for v in client.search_model_versions(f"name = '{NAME}'"))


def runs(client: MlflowClient) -> list[mlflow.entities.Run]:
    experiment = client.get_experiment_by_name(NAME)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def test_a_store_that_is_empty_gets_the_whole_run_from_the_files(served: Project, client: MlflowClient):
    (run,) = runs(client)
    training = served.json("outputs/train/training.json")
    metrics = served.json("outputs/evaluate/metrics.json")

    assert run.info.status == "FINISHED"
    assert run.data.params["train.epochs"] == "2"
    assert run.data.params["model.name"] == "small-resnet"
    assert run.data.tags["run_key"] == training["run_key"]
    assert run.data.tags["gate"] == "passed"
    assert run.data.tags["mlflow.source.git.commit"] == served.git("rev-parse", "HEAD").strip()
    assert run.data.tags["git.dirty"] == "false"
    assert {f"test_{name}": value for name, value in metrics.items()}.items() <= run.data.metrics.items()
    history = client.get_metric_history(run.info.run_id, "val_accuracy")
    assert [point.step for point in history] == [1, 2]
    assert history[-1].value == training["validation"]["accuracy"]
    dataset = run.inputs.dataset_inputs[0].dataset
    assert dataset.digest == training["data_version"]
    artifacts = {
        a.path
        for step in ("validate", "evaluate", "gate")
        for a in client.list_artifacts(run.info.run_id, step)
    }
    assert {
        "validate/report.html",
        "evaluate/report.html",
        "evaluate/confusion_matrix.png",
        "gate/gate.md",
    } <= artifacts


def test_the_version_says_where_it_comes_from(served: Project, client: MlflowClient):
    champion = client.get_model_version_by_alias(NAME, "champion")
    (run,) = runs(client)

    assert champion.version == "1"
    assert champion.run_id == run.info.run_id
    training = served.json("outputs/train/training.json")
    expected = {
        "data_version": training["data_version"],
        "weights_digest": training["weights_digest"],
        "mlflow.source.git.commit": served.git("rev-parse", "HEAD").strip(),
        "git.dirty": "false",
        "gate": "passed",
    }
    assert expected.items() <= champion.tags.items()
    assert served.json("mlruns/registration.json")["alias"] == "champion"


def test_the_same_weights_are_one_version_and_one_run_however_often_they_come(
    served: Project, client: MlflowClient
):
    for name in ("evaluate", "gate", "register", "register"):
        served.fashion("step", name)

    assert versions(client) == [1]
    assert len(runs(client)) == 1
    history = client.get_metric_history(runs(client)[0].info.run_id, "val_accuracy")
    assert [point.step for point in history] == [1, 2]


def test_whoever_loads_the_model_needs_no_code_of_this_project(
    served: Project, subset: Path, tmp_path: Path, mlflow_server: Server
):
    script = (
        "import sys, json, mlflow, numpy as np\n"
        "images = np.fromfile(sys.argv[1], np.uint8, offset=16).reshape(-1, 28, 28)\n"
        "model = mlflow.pyfunc.load_model('models:/fashion-mnist@champion')\n"
        "p = model.predict(images)\n"
        "assert not {'components', 'pipeline'} & sys.modules.keys()\n"
        "try: model.predict(images.astype('float32')); sys.exit('floats were accepted')\n"
        "except mlflow.exceptions.MlflowException: pass\n"
        "info = mlflow.models.get_model_info('models:/fashion-mnist@champion')\n"
        "example = mlflow.models.Model.load('models:/fashion-mnist@champion').load_input_example()\n"
        "print(json.dumps([p.shape, str(p.dtype), p.argmax(axis=1).tolist(), str(info.signature.inputs),"
        " str(info.signature.outputs), np.shape(example), sorted(info.flavors)]))"
    )
    elsewhere = Project(
        tmp_path,
        served.environment | {"PYTHONPATH": "", "MLFLOW_TRACKING_URI": mlflow_server.url},
    )
    result = elsewhere.run(sys.executable, "-c", script, str(subset / idx.file_name("test", "images")))

    shape, dtype, predicted, inputs, outputs, example, flavors = json.loads(
        result.stdout.strip().splitlines()[-1]
    )
    _, labels = idx.read_split(subset, "test")
    assert (shape, dtype, example) == ([500, 10], "float32", [2, 28, 28])
    assert "keras" in flavors
    assert "uint8" in inputs
    assert "(-1, 28, 28)" in inputs
    assert "(-1, 10)" in outputs
    assert np.mean(predicted == labels) == served.json("outputs/evaluate/metrics.json")["accuracy"]


def test_a_rejected_model_is_not_registered_and_its_run_says_so(served: Project, client: MlflowClient):
    served.change("train", "seed", 5)
    served.change("gate", "accuracy_min", 0.999)

    assert served.reproduce() == ["train", "evaluate", "gate", "register"]

    assert versions(client) == [1]
    assert served.json("mlruns/registration.json")["registered"] is False
    assert {run.data.params["train.seed"]: run.data.tags["gate"] for run in runs(client)} == {
        "1": "passed",
        "5": "rejected",
    }


def test_the_more_accurate_of_two_is_champion_the_other_challenger(served: Project, client: MlflowClient):
    first = served.json("outputs/evaluate/metrics.json")["accuracy"]
    served.change("train", "epochs", 1)
    served.reproduce()
    assert served.json("outputs/evaluate/metrics.json")["accuracy"] < first

    assert client.get_registered_model(NAME).aliases == {"champion": "1", "challenger": "2"}

    client.set_registered_model_alias(NAME, "champion", "2")
    served.change("train", "epochs", 2)
    served.reproduce()

    aliases = client.get_registered_model(NAME).aliases
    assert aliases["champion"] == "1"
    assert versions(client) == [1, 2]


def test_a_champion_of_other_data_is_measured_on_this_data(served: Project, client: MlflowClient):
    # As if registered on easier data: the recorded accuracy must not count, the measured one must.
    client.set_model_version_tag(NAME, "1", "data_version", "other.dir")
    client.set_model_version_tag(NAME, "1", "test_accuracy", "0.0001")
    served.change("train", "epochs", 1)
    served.reproduce()

    assert client.get_registered_model(NAME).aliases == {"champion": "1", "challenger": "2"}
    measured = served.json("mlruns/registration.json")["reason"]
    assert "of champion 1, on the same data" in measured
    assert "0.0001" not in measured


def test_a_registry_that_lost_the_version_is_filled_again_by_fashion_run(
    served: Project, client: MlflowClient
):
    client.delete_registered_model(NAME)
    client.delete_run(runs(client)[0].info.run_id)

    served.fashion("run")

    assert client.get_registered_model(NAME).aliases == {"champion": "1"}
    (run,) = runs(client)
    assert "test_accuracy" in run.data.metrics


def test_an_alias_that_got_lost_is_given_again_and_one_set_by_hand_is_shown(
    served: Project, client: MlflowClient
):
    client.delete_registered_model_alias(NAME, "champion")
    assert "lacks this model" in served.fashion("summary").stdout

    served.fashion("run")
    assert client.get_registered_model(NAME).aliases == {"champion": "1"}

    client.set_registered_model_alias(NAME, "blue", "1")
    assert "fashion-mnist version 1, blue and champion" in served.fashion("summary").stdout


def test_a_champion_of_another_task_keeps_its_place(served: Project, client: MlflowClient):
    client.set_model_version_tag(NAME, "1", "task", "of-other-classes")
    served.change("train", "seed", 4)
    served.reproduce()

    assert client.get_registered_model(NAME).aliases == {"champion": "1", "challenger": "2"}
    assert "register.model_name" in served.json("mlruns/registration.json")["reason"]


def test_a_stricter_gate_is_written_to_the_version_it_would_reject(served: Project, client: MlflowClient):
    served.change("gate", "accuracy_min", 0.999)

    assert served.reproduce() == ["gate", "register"]

    assert client.get_model_version(NAME, "1").tags["gate"] == "rejected"
    assert "it is version 1 since an earlier gate" in served.json("mlruns/registration.json")["reason"]


def test_what_belongs_to_another_model_is_not_written_to_a_run(served: Project, client: MlflowClient):
    path = served.root / "outputs" / "evaluate" / "evaluation.json"
    path.write_text(json.dumps(served.json("outputs/evaluate/evaluation.json") | {"weights_digest": "other"}))
    (before,) = runs(client)

    assert "not of the same weights" in served.fashion("step", "register", code=1).stderr

    assert runs(client)[0].data.to_dictionary() == before.data.to_dictionary()


def test_a_run_whose_maker_was_killed_is_completed(served: Project, client: MlflowClient):
    training = served.json("outputs/train/training.json")
    client.delete_run(runs(client)[0].info.run_id)
    experiment = client.get_experiment_by_name(NAME)
    half = client.create_run(experiment.experiment_id, tags={"run_key": training["run_key"]})

    served.fashion("step", "register")

    (run,) = runs(client)
    assert run.info.run_id == half.info.run_id
    assert run.data.params["train.epochs"] == "2"
    assert run.inputs.dataset_inputs[0].dataset.digest == training["data_version"]


def test_a_server_in_trouble_has_not_lost_the_files(
    served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    from components.register.step import find_version

    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    digest = served.json("outputs/train/training.json")["weights_digest"]
    found = find_version(client, NAME, digest)
    assert found is not None

    def fail(**_: str) -> None:
        raise MlflowException("503 Service Unavailable")

    monkeypatch.setattr(mlflow.artifacts, "list_artifacts", fail)
    with pytest.raises(MlflowException):
        find_version(client, NAME, digest)


def test_a_lost_embedded_store_is_filled_again_by_dvc_repro(project: Project):
    assert project.reproduce() == []

    shutil.rmtree(project.root / "mlruns")
    assert project.reproduce() == ["register"]

    client = MlflowClient(f"sqlite:///{project.root}/mlruns/mlflow.db")
    assert client.get_model_version_by_alias(NAME, "champion").run_id == runs(client)[0].info.run_id
    (run,) = runs(client)
    assert Path(run.info.artifact_uri.removeprefix("file://")).is_relative_to(project.root / "mlruns")


def test_an_unreachable_server_is_said_at_once_and_without_its_password(project: Project):
    with socket.socket() as silent:  # accepts, and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        mute = f"http://somebody:secret@127.0.0.1:{silent.getsockname()[1]}"
        for uri in (mute, "http://somebody:secret@127.0.0.1:9"):
            for command in (("step", "train"), ("step", "register"), ("run",)):
                result = project.fashion(*command, code=7, MLFLOW_TRACKING_URI=uri)
                assert "cannot be reached" in result.stderr
                assert "secret" not in result.stdout + result.stderr


def test_a_store_that_mlflow_refuses_is_one_line(project: Project):
    result = project.fashion("step", "gate", code=7, MLFLOW_TRACKING_URI="nosuchscheme://x")

    assert "Traceback" not in result.stderr
    assert "MLFLOW_TRACKING_URI" in result.stderr


def test_a_server_that_dies_during_training_does_not_cost_the_model(
    subset: Path, tmp_path: Path, mlflow_server: Server
):
    project = new_project(tmp_path / "project", subset)
    project.fashion("step", "validate")
    project.change("train", "epochs", 3)
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from pipeline.steps import Project, run_step\n"
        "from pipeline.tracking import Tracker\n"
        "import components.train.fit as fit\n"
        "end = fit.EpochLog.on_epoch_end\n"
        "def on_epoch_end(self, epoch, logs=None):\n"
        "    if epoch == 1: os.killpg(int(sys.argv[1]), signal.SIGKILL)\n"
        "    end(self, epoch, logs)\n"
        "fit.EpochLog.on_epoch_end = on_epoch_end\n"
        "run_step('train', Project(Path('.').resolve()))"
    )

    project.run(
        sys.executable,
        "-c",
        script,
        str(mlflow_server.process.pid),
        environment={"MLFLOW_TRACKING_URI": mlflow_server.url},
    )

    assert (project.root / "outputs/train/model.keras").exists()
    assert project.json("outputs/train/training.json")["params"]["train"]["epochs"] == 3
    assert (
        "cannot be reached"
        in project.fashion("step", "evaluate", code=7, MLFLOW_TRACKING_URI=mlflow_server.url).stderr
    )


@pytest.mark.parametrize("name", ["sqlite:///relative.db", "127.0.0.1:5000", "postgresql://a:secret@b/c"])
def test_an_address_of_another_kind_works_or_is_one_line(project: Project, name: str):
    code = 0 if name.startswith("sqlite") else 7
    result = project.fashion("step", "gate", code=code, MLFLOW_TRACKING_URI=name)

    assert "Traceback" not in result.stderr
    assert "secret" not in result.stdout + result.stderr


def test_experiments_of_dvc_share_the_projects_store(tmp_path: Path):
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"

    assert store_folder(copy) == tmp_path / "mlruns"
    assert store_folder(tmp_path) == tmp_path / "mlruns"


def test_a_password_is_not_displayed():
    assert display_uri("https://user:secret@host:8080/mlflow") == "https://host:8080/mlflow"
    assert display_uri("sqlite:////a/b.db") == "sqlite:////a/b.db"
