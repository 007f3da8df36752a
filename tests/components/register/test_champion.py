"""Champion and challenger: which of two models is which, on a real MLflow server."""

from typing import Any

import pytest
from mlflow import MlflowClient

from components.register import champion
from tests.support.mlflow_server import versions
from tests.support.project import MODEL, Project


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
