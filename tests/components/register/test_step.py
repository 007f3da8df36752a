"""The registry: versions, aliases and what is written to them, on a real MLflow server."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from components.common import idx
from components.register import champion
from components.register import step as register
from pipeline import params as parameters
from pipeline.tracking.store import open_store
from tests.support.mlflow_server import Server, runs, versions
from tests.support.project import MODEL, Project


def test_the_version_says_where_it_comes_from(served: Project, client: MlflowClient):
    champion = client.get_model_version_by_alias(MODEL, "champion")
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
    assert served.json("mlruns/registration-outcome.json")["alias"] == "champion"


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


@pytest.mark.slow
def test_the_more_accurate_of_two_is_champion_the_other_challenger(served: Project, client: MlflowClient):
    first = served.json("outputs/evaluate/metrics.json")["accuracy"]
    served.change("train", "epochs", 1)
    served.reproduce()
    assert served.json("outputs/evaluate/metrics.json")["accuracy"] < first

    assert client.get_registered_model(MODEL).aliases == {"champion": "1", "challenger": "2"}

    client.set_registered_model_alias(MODEL, "champion", "2")
    served.change("train", "epochs", 2)
    served.reproduce()

    aliases = client.get_registered_model(MODEL).aliases
    assert aliases["champion"] == "1"
    assert versions(client) == [1, 2]


@pytest.mark.slow
def test_a_champion_of_other_data_is_measured_on_this_data(served: Project, client: MlflowClient):
    # As if registered on easier data: the recorded accuracy must not count, the measured one must.
    client.set_model_version_tag(MODEL, "1", "data_version", "other.dir")
    client.set_model_version_tag(MODEL, "1", "test_accuracy", "0.0001")
    served.change("train", "epochs", 1)
    served.reproduce()

    assert client.get_registered_model(MODEL).aliases == {"champion": "1", "challenger": "2"}
    measured = served.json("mlruns/registration-outcome.json")["reason"]
    assert "of champion 1, on the same data" in measured
    assert "0.0001" not in measured


def test_a_registry_that_lost_the_version_is_filled_again_by_fashion_run(
    served: Project, client: MlflowClient
):
    client.delete_registered_model(MODEL)
    client.delete_run(runs(client)[0].info.run_id)

    served.fashion("run")

    assert client.get_registered_model(MODEL).aliases == {"champion": "1"}
    (run,) = runs(client)
    assert "test_accuracy" in run.data.metrics


def test_an_alias_that_got_lost_is_given_again_and_one_set_by_hand_is_shown(
    served: Project, client: MlflowClient
):
    client.delete_registered_model_alias(MODEL, "champion")
    assert "lacks this model" in served.fashion("summary").stdout

    served.fashion("run")
    assert client.get_registered_model(MODEL).aliases == {"champion": "1"}

    client.set_registered_model_alias(MODEL, "blue", "1")
    assert "fashion-mnist version 1, blue and champion" in served.fashion("summary").stdout


@pytest.mark.slow
def test_a_champion_of_another_task_keeps_its_place(served: Project, client: MlflowClient):
    client.set_model_version_tag(MODEL, "1", "task", "of-other-classes")
    served.change("train", "seed", 4)
    served.reproduce()

    assert client.get_registered_model(MODEL).aliases == {"champion": "1", "challenger": "2"}
    assert "register.model_name" in served.json("mlruns/registration-outcome.json")["reason"]


def test_a_stricter_gate_is_written_to_the_version_it_would_reject(served: Project, client: MlflowClient):
    served.change("gate", "accuracy_min", 0.999)

    assert served.reproduce() == ["gate", "register"]

    assert client.get_model_version(MODEL, "1").tags["gate"] == "rejected"
    assert (
        "it is version 1 since an earlier gate" in served.json("mlruns/registration-outcome.json")["reason"]
    )


def test_a_version_of_the_same_weights_that_is_made_meanwhile_stays_the_only_one(
    served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", served.environment["MLFLOW_TRACKING_URI"])
    open_store(served.root)
    (first,) = client.search_model_versions(f"name = '{MODEL}'")
    client.delete_model_version(MODEL, first.version)

    def log_model(*_: Any) -> tuple[str, str]:  # while it is logged, somebody else makes the version
        model = first.source.removeprefix("models:/")
        client.create_model_version(MODEL, first.source, first.run_id, tags=first.tags, model_id=model)
        return first.source, model

    monkeypatch.setattr(register, "log_model", log_model)
    outputs = served.root / "outputs"

    result = register.register(
        data=served.root / "data",
        trained=outputs / "train",
        evaluated=outputs / "evaluate",
        gated=outputs / "gate",
        out=tmp_path / "registration.json",
        model_name=MODEL,
        batch_size=parameters.load(served.root / "params.yaml").evaluate.batch_size,
        run_id=first.run_id,
    )

    assert versions(client) == [result.version]


def test_a_champion_that_is_made_while_ours_is_measured_is_compared_with_too(
    served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
):
    (ours,) = client.search_model_versions(f"name = '{MODEL}'")
    evaluation = served.json("outputs/evaluate/evaluation.json")
    tags = {"task": ours.tags["task"], "data_version": ours.tags["data_version"]}
    accuracy = evaluation["metrics"]["accuracy"]
    weak, strong = (
        client.create_model_version(
            MODEL,
            ours.source,
            model_id=ours.source.removeprefix("models:/"),
            tags=tags | {"test_accuracy": repr(accuracy + better)},
        )
        for better in (-0.1, 0.1)
    )
    client.set_registered_model_alias(MODEL, "champion", weak.version)
    asked = iter([strong.version])
    look = champion._compare

    def compare(*arguments: Any) -> tuple[str, str]:
        result = look(*arguments)
        for version in asked:  # somebody else is faster, once
            client.set_registered_model_alias(MODEL, "champion", version)
        return result

    monkeypatch.setattr(champion, "_compare", compare)
    alias, _ = champion.assign_alias(client, ours, evaluation, served.root / "data", 500)

    assert alias == "challenger"
    assert client.get_model_version_by_alias(MODEL, "champion").version == strong.version
