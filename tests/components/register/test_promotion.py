"""Which version becomes champion, also beside other processes, on a real MLflow server."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

from components.register.promotion import promote
from components.registry.history import Entry
from components.registry.registry import WEIGHTS_TAG, Registry
from tests.support.mlflow_server import versions
from tests.support.project import MODEL, Project
from tests.support.registry import add_version, aliases, predictions


def entry(registry: Registry, version: ModelVersion, **changes: Any) -> Entry:
    content: dict[str, Any] = {
        "previous": 0,
        "action": "register",
        "reason": "given",
        "by": "a test",
    } | changes
    head = registry.read().state.head
    return Entry(head, int(version.version), version.tags[WEIGHTS_TAG], **content)


def better_than(*worse: ModelVersion) -> Any:
    """A comparison in which a version beats these, and no others."""
    numbers = [version.version for version in worse]
    return lambda champion: ({"beats": champion.version in numbers}, f"compared with {champion.version}")


@pytest.fixture
def three(registry: Registry, subset: Path) -> list[ModelVersion]:
    predicted = predictions(subset, wrong=[])
    return [add_version(registry, subset, predicted, digest) for digest in ("a", "b", "c")]


def test_the_first_is_champion_and_only_a_better_one_follows(registry: Registry, three: list[ModelVersion]):
    first, worse, better = three

    assert promote(registry, first, better_than(), "the first", "me") == (None, "the first")
    assert promote(registry, worse, better_than(), "", "me")[1] == "compared with 1"
    assert promote(registry, better, better_than(first), "", "me")[1] == "compared with 1"

    registry.reconcile()
    assert aliases(registry.client, registry.name) == {"champion": 3}
    history = registry.read().state.entries
    assert [(e.previous, e.champion, e.by, e.reason) for e in history] == [
        (0, 1, "me", "the first"),
        (1, 3, "me", "compared with 1"),
    ]


def test_a_champion_that_is_made_meanwhile_is_compared_with_too(
    registry: Registry, three: list[ModelVersion]
):
    first, ours, theirs = three
    registry.add(entry(registry, first))
    compared = []

    def compare(champion: ModelVersion) -> tuple[dict[str, Any], str]:
        compared.append(champion.version)
        if champion.version == first.version:  # somebody else is faster
            registry.add(entry(registry, theirs))
        return {"beats": champion.version == first.version}, f"compared with {champion.version}"

    assert promote(registry, ours, compare, "", "me") == ({"beats": False}, "compared with 3")

    assert compared == ["1", "3"]
    assert registry.reconcile().aliases == {"champion": 3}


def test_a_withdrawn_version_is_not_promoted_by_a_run(registry: Registry, three: list[ModelVersion]):
    first, second, _ = three
    registry.add(entry(registry, first))
    registry.add(entry(registry, second))
    back = {"withdrawn": 2, "withdrawn_digest": second.tags[WEIGHTS_TAG], "action": "rollback"}
    registry.add(entry(registry, first, **back))

    comparison, reason = promote(registry, second, better_than(first), "", "me")

    assert comparison is None
    assert "`fashion promote 2 --reason …`" in reason
    assert registry.reconcile().champion == 1


def test_the_champion_before_a_deleted_one_is_champion_and_the_history_says_so(
    registry: Registry, three: list[ModelVersion], subset: Path
):
    first, second, _ = three
    registry.add(entry(registry, first))
    registry.add(entry(registry, second))
    registry.delete(second)

    assert registry.reconcile().aliases == {"champion": 1, "challenger": 3}
    last = registry.read().state.entries[-1]
    assert (last.action, last.previous, last.champion) == ("reconcile", 2, 1)

    # The same weights again: they have to beat the champion like any others.
    again = add_version(registry, subset, predictions(subset, wrong=[]), "b")
    assert registry.reconcile().champion == 1
    assert promote(registry, again, better_than(), "", "me")[1] == "compared with 1"
    assert registry.reconcile().aliases == {"champion": 1, "challenger": 4}


@pytest.mark.slow
def test_the_more_accurate_of_two_is_champion_the_other_challenger(served: Project, client: MlflowClient):
    first = served.json("outputs/evaluate/metrics.json")["accuracy"]
    served.change("train", "epochs", 1)
    served.reproduce()
    comparison = served.json("outputs/gate/gate.json")["comparison"]
    assert comparison["champion_accuracy"] == first
    assert comparison["accuracy"] == served.json("outputs/evaluate/metrics.json")["accuracy"] < first

    assert aliases(client, MODEL) == {"champion": 1, "challenger": 2}
    words = served.json("outputs/gate/gate.json")["sentence"]
    assert words.startswith("passed, but does not beat champion 1")
    version = client.get_model_version(MODEL, "2")
    run = client.get_run(served.json("mlruns/registration-outcome.json")["run_id"])
    assert version.tags["verdict"] == run.data.tags["verdict"] == words
    assert run.data.metrics["champion_difference"] == comparison["difference"]

    served.fashion("promote", "2", "--reason", "to try it")
    served.change("train", "epochs", 2)
    served.reproduce()

    assert aliases(client, MODEL)["champion"] == 1
    assert versions(client) == [1, 2]


@pytest.mark.slow
def test_a_champion_of_other_data_is_scored_on_both(
    served: Project, client: MlflowClient, real_data: Path, tmp_path: Path
):
    from components.common import idx

    other = tmp_path / "other"
    other.mkdir()
    for split in idx.SPLITS:
        images, labels = idx.read_split(served.root / "data", split)
        idx.write(other / idx.file_name(split, "images"), images[::-1])
        idx.write(other / idx.file_name(split, "labels"), labels[::-1])
    old = served.json("outputs/evaluate/evaluation.json")
    served.fashion("data", "adopt", str(other))
    served.reproduce()

    comparison = served.json("outputs/gate/gate.json")["comparison"]

    # The same images in another order: each model is as accurate on the one as on the other.
    assert comparison["champion_accuracy"] == old["metrics"]["accuracy"]
    assert comparison["old_data"] == {
        "data_version": old["data_version"],
        "accuracy": comparison["accuracy"],
        "champion_accuracy": comparison["champion_accuracy"],
    }


def test_an_alias_that_got_lost_is_given_again_and_one_set_by_hand_is_shown(
    served: Project, client: MlflowClient
):
    client.delete_registered_model_alias(MODEL, "champion")
    assert "lacks this model" in served.fashion("summary").stdout

    served.fashion("run")
    assert client.get_registered_model(MODEL).aliases == {"champion": "1"}

    client.set_registered_model_alias(MODEL, "blue", "1")
    assert "fashion-mnist version 1, blue and champion" in served.fashion("summary").stdout
