"""Registry, each test on a real MLflow server and on the model of one that test_interleavings.py uses."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from components.registry.history import Entry
from components.registry.registry import GATE_TAG, LOST_TAG, WEIGHTS_TAG, Registry
from tests.support.registry_model import RegistryModel

FIRST = Entry(0, 1, "weights-1", 0, "register", "there is no champion", "alice")


@dataclass
class Setting:
    """A registry, and a logged model that a version can be made of."""

    registry: Registry
    source: str
    model_id: str

    @property
    def client(self) -> MlflowClient:
        return self.registry.client

    @property
    def name(self) -> str:
        return self.registry.name

    def version(self, weights: str, **tags: str) -> ModelVersion:
        passed = {WEIGHTS_TAG: weights, GATE_TAG: "passed"}
        return self.registry.create_version(self.source, "", self.model_id, passed | tags)

    def aliases(self) -> Any:
        return self.client.get_registered_model(self.name).aliases

    def numbers(self) -> list[int]:
        return list(self.registry.read().versions)


@pytest.fixture(params=["server", "model of it"])
def setting(request: pytest.FixtureRequest) -> Setting:
    name = uuid4().hex
    if request.param != "server":
        return Setting(Registry(RegistryModel(), name), Path(__file__).parent.as_uri(), "m-1")
    client = MlflowClient(request.getfixturevalue("registry_server").url)
    logged = client.create_logged_model("0", name="model")
    return Setting(Registry(client, name), f"models:/{logged.model_id}", logged.model_id)


# What MLflow's registry does.


def test_numbers_are_given_in_order_and_never_again(setting: Setting):
    assert [setting.version(weights).version for weights in "abcd"] == ["1", "2", "3", "4"]
    for number in ("2", "4"):
        setting.client.delete_model_version(setting.name, number)
    assert setting.version("e").version == "5"
    assert setting.numbers() == [1, 3, 5]

    for number in ("1", "3", "5"):
        setting.client.delete_model_version(setting.name, number)
    assert setting.version("f").version == "6"


def test_a_version_has_the_tags_and_the_description_that_it_was_made_with(setting: Setting):
    setting.version("a", color="green")
    setting.client.set_model_version_tag(setting.name, "1", "color", "blue")
    found = setting.registry.read().versions[1]
    assert found.tags == {WEIGHTS_TAG: "a", GATE_TAG: "passed", "color": "blue"}
    assert found.source == setting.source


def test_a_search_finds_by_tag(setting: Setting):
    for weights in ("a", "b", "a"):
        setting.version(weights)
    found = setting.client.search_model_versions(f"name = '{setting.name}' and tag.{WEIGHTS_TAG} = 'a'")
    assert sorted(version.version for version in found) == ["1", "3"]
    assert list(setting.client.search_model_versions("name = 'unknown'")) == []


def test_an_alias_moves_and_goes_with_its_version(setting: Setting):
    for weights in "ab":
        setting.version(weights)
    client, name = setting.client, setting.name
    for alias, number in (("champion", "1"), ("champion", "2"), ("challenger", "1"), ("other", "2")):
        client.set_registered_model_alias(name, alias, number)
    assert setting.aliases() == {"champion": "2", "challenger": "1", "other": "2"}

    client.delete_model_version(name, "2")
    assert setting.aliases() == {"challenger": "1"}

    client.delete_registered_model_alias(name, "challenger")
    client.delete_registered_model_alias(name, "challenger")
    assert setting.aliases() == {}


MISSING: dict[str, Callable[[MlflowClient, str], Any]] = {
    "get a model": lambda client, _: client.get_registered_model("unknown"),
    "alias, no model": lambda client, _: client.set_registered_model_alias("unknown", "champion", "1"),
    "alias, no version": lambda client, name: client.set_registered_model_alias(name, "champion", "9"),
    "alias, deleted": lambda client, name: client.set_registered_model_alias(name, "champion", "1"),
    "no alias, no model": lambda client, _: client.delete_registered_model_alias("unknown", "champion"),
    "tag, deleted": lambda client, name: client.set_model_version_tag(name, "1", "color", "blue"),
    "delete, deleted": lambda client, name: client.delete_model_version(name, "1"),
    "delete, no version": lambda client, name: client.delete_model_version(name, "9"),
    "location, deleted": lambda client, name: client.get_model_version_download_uri(name, "1"),
    "version of a deleted one": lambda client, name: client.create_model_version(name, f"models:/{name}/1"),
    "version, no model": lambda client, name: client.create_model_version("unknown", f"models:/{name}/2"),
}


def test_what_is_missing(setting: Setting):
    for weights in "ab":
        setting.version(weights)
    setting.client.delete_model_version(setting.name, "1")
    codes = {}
    for case, call in MISSING.items():
        with pytest.raises(MlflowException) as raised:
            call(setting.client, setting.name)
        codes[case] = raised.value.error_code
    assert codes == dict.fromkeys(MISSING, "RESOURCE_DOES_NOT_EXIST")


def test_a_model_that_exists(setting: Setting):
    setting.version("a")
    with pytest.raises(MlflowException) as raised:
        setting.client.create_registered_model(setting.name)
    assert raised.value.error_code == "RESOURCE_ALREADY_EXISTS"


# What Registry makes of it.


def test_nothing_is_registered_yet(setting: Setting):
    now = setting.registry.read()
    assert (now.versions, now.aliases, now.state.champion, now.state.entries) == ({}, {}, None, ())
    assert setting.registry.reconcile().aliases == {}


def test_an_entry_comes_back_as_it_was_written_with_number_and_time(setting: Setting):
    setting.version("weights-1")
    setting.version("weights-2")
    second = replace(
        FIRST,
        after=1,
        champion=2,
        champion_digest="weights-2",
        previous=1,
        withdrawn=1,
        withdrawn_digest="weights-1",
        action="rollback",
        reason="it confuses “shirt” with 'coat'\n" + "x" * 4000,
    )
    assert setting.registry.add(FIRST)
    assert setting.registry.add(second)

    state = setting.registry.read().state
    times = [entry.time for entry in state.entries]
    keys = [entry.key for entry in state.entries]
    assert state.entries == (
        replace(FIRST, number=1, time=times[0], key=keys[0]),
        replace(second, number=2, time=times[1], key=keys[1]),
    )
    assert 0 < times[0] <= times[1]
    assert (state.head, state.champion, state.withdrawn) == (2, 2, frozenset({1}))
    assert setting.registry.reconcile() == state


def test_of_two_entries_after_the_same_one_the_first_counts(setting: Setting):
    for weights in ("weights-1", "weights-2", "weights-3"):
        setting.version(weights)
    second = replace(FIRST, champion=2, champion_digest="weights-2")
    assert setting.registry.add(FIRST)
    assert not setting.registry.add(second)
    assert setting.registry.add(replace(second, after=1, previous=1))
    assert [entry.number for entry in setting.registry.read().state.entries] == [1, 3]
    assert setting.registry.reconcile().aliases == {"champion": 2, "challenger": 3}
    assert setting.aliases() == {"champion": "2", "challenger": "3"}


def test_an_entry_for_a_version_that_was_deleted_is_refused(setting: Setting):
    setting.version("weights-1")
    setting.client.delete_model_version(setting.name, "1")
    with pytest.raises(MlflowException) as raised:
        setting.registry.add(FIRST)
    assert raised.value.error_code == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize(
    "wrong", [{}, {"champion": "2"}, {"challenger": "1"}, {"champion": "2", "challenger": "3", "blue": "3"}]
)
def test_aliases_are_put_right_and_others_are_left(setting: Setting, wrong: dict[str, str]):
    for weights in ("weights-1", "weights-2", "weights-3"):
        setting.version(weights)
    setting.version("weights-4", **{GATE_TAG: "rejected"})
    assert setting.registry.add(FIRST)
    for alias, number in wrong.items():
        setting.client.set_registered_model_alias(setting.name, alias, number)
    assert setting.registry.reconcile().aliases == {"champion": 1, "challenger": 3}
    others = {alias: number for alias, number in wrong.items() if alias == "blue"}
    assert setting.aliases() == {"champion": "1", "challenger": "3"} | others


def test_aliases_that_nothing_has_are_deleted(setting: Setting):
    setting.version("weights-1")
    setting.registry.add(FIRST)
    setting.registry.reconcile()
    setting.client.delete_model_version(setting.name, "1")
    assert setting.version("weights-2", **{GATE_TAG: "rejected"}).version == "2"
    setting.client.set_registered_model_alias(setting.name, "challenger", "2")
    setting.client.set_registered_model_alias(setting.name, "champion", "2")
    assert setting.registry.reconcile().aliases == {}
    assert setting.aliases() == {}


def test_the_champion_of_before_there_was_a_history_stays(setting: Setting):
    for weights in ("weights-1", "weights-2"):
        setting.version(weights)
    setting.client.set_registered_model_alias(setting.name, "champion", "1")
    assert setting.registry.reconcile().aliases == {"champion": 1, "challenger": 2}
    second = replace(FIRST, champion=2, champion_digest="weights-2", previous=1)
    assert setting.registry.add(second)
    assert setting.registry.reconcile().aliases == {"champion": 2}


def test_a_version_whose_files_are_lost_is_neither(setting: Setting):
    for weights in ("weights-1", "weights-2"):
        setting.version(weights)
    setting.registry.add(FIRST)
    setting.registry.set_tags(setting.registry.read().versions[1], {LOST_TAG: "true"})
    assert setting.registry.reconcile().aliases == {"challenger": 2}
    setting.version("weights-1")
    assert setting.registry.reconcile().aliases == {"challenger": 3}  # until a run promotes it


def test_tags_and_deletions_of_a_version(setting: Setting):
    version = setting.version("weights-1", color="green")
    setting.registry.set_tags(version, {"color": "blue", GATE_TAG: "passed"})
    assert setting.registry.read().versions[1].tags["color"] == "blue"
    setting.registry.delete(version)
    setting.registry.delete(version)
    assert setting.numbers() == []
