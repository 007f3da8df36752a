"""What people decide: promotions and rollbacks on a real MLflow server."""

from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersion

from components.common.errors import PipelineError
from components.register.promotion import promote as promote_by_run
from components.registry.registry import Registry
from pipeline.registry.decisions import Change, promote, rollback
from tests.support.registry import add_version, aliases, predictions

Versions = list[ModelVersion]


@pytest.fixture
def four(registry: Registry, subset: Path) -> Versions:
    """Four versions: 1, 3 and 2 were champion in this order; 4 did not pass the gate."""
    predicted = predictions(subset, wrong=[])
    made = [add_version(registry, subset, predicted, digest) for digest in ("a", "b", "c")]
    made.append(add_version(registry, subset, predicted, "d", gate="rejected", verdict="rejected: accuracy"))
    for number in (1, 3, 2):
        promote(registry, number, f"the turn of {number}", "me")
    return made


def test_a_promotion_is_kept_with_its_reason_and_its_user(registry: Registry, four: Versions):
    assert aliases(registry.client, registry.name) == {"champion": 2, "challenger": 3}
    entries = registry.read().state.entries
    assert [(e.previous, e.champion, e.action, e.reason, e.by) for e in entries] == [
        (0, 1, "promote", "the turn of 1", "me"),
        (1, 3, "promote", "the turn of 3", "me"),
        (3, 2, "promote", "the turn of 2", "me"),
    ]


def test_a_version_that_the_gate_rejected_needs_force_which_the_history_shows(
    registry: Registry, four: Versions
):
    with pytest.raises(PipelineError, match="version 4 did not pass the gate: rejected: accuracy") as error:
        promote(registry, 4, "in a hurry", "me")
    assert "--force" in error.value.hint
    assert registry.read().state.champion == 2

    promote(registry, 4, "in a hurry", "me", force=True)

    assert aliases(registry.client, registry.name) == {"champion": 4}
    assert registry.read().state.entries[-1].action == "promote --force"


def test_a_rollback_follows_the_history_and_not_the_numbers(registry: Registry, four: Versions):
    assert rollback(registry, "it fails", "me", dry_run=True) == Change(2, 3, 2)
    assert aliases(registry.client, registry.name)["champion"] == 2

    assert rollback(registry, "it fails", "me") == Change(2, 3, 2)
    assert aliases(registry.client, registry.name) == {"champion": 3}
    assert rollback(registry, "this one too", "me") == Change(3, 1, 3)
    assert registry.read().state.withdrawn == {2, 3}

    with pytest.raises(PipelineError, match="no champion before version 1 may come back"):
        rollback(registry, "and this", "me")


def test_a_withdrawn_version_comes_back_by_a_person_only(registry: Registry, four: Versions):
    rollback(registry, "it fails", "me")
    _, reason = promote_by_run(registry, four[1], lambda _: ({"beats": True}, "better"), "", "a run")
    assert "withdrawn" in reason
    assert registry.read().state.champion == 3

    promote(registry, 2, "it is mended", "me")

    state = registry.read().state
    assert (state.champion, state.withdrawn) == (2, frozenset())


def test_a_rollback_to_a_version_goes_only_to_earlier_champions(registry: Registry, four: Versions):
    with pytest.raises(PipelineError, match=r"version 4 is not an earlier champion .* those are: 1, 3"):
        rollback(registry, "why", "me", to=4)

    assert rollback(registry, "why", "me", to=1) == Change(2, 1, 2)


def test_a_version_without_files_is_no_way_back(registry: Registry, four: Versions):
    from components.registry.predictions import artifacts

    repository = artifacts(registry.client, four[2])
    for file in repository.list_artifacts():
        repository.delete_artifacts(file.path)

    with pytest.raises(PipelineError, match="the files of version 3 are gone"):
        rollback(registry, "it fails", "me")
    assert rollback(registry, "it fails", "me", to=1).after == 1


def test_what_does_not_exist_is_named(registry: Registry, four: Versions):
    with pytest.raises(PipelineError, match="has no version 9; there are: 1, 2, 3, 4"):
        promote(registry, 9, "why", "me")
    with pytest.raises(PipelineError, match="has no champion"):
        rollback(Registry(registry.client, f"{registry.name}-empty"), "why", "me")


def test_a_version_that_this_pipeline_did_not_register_is_refused(registry: Registry, four: Versions):
    model = four[0].source
    registry.client.create_model_version(registry.name, model, model_id=model.removeprefix("models:/"))

    with pytest.raises(PipelineError, match="version 5 has no tag weights_digest"):
        promote(registry, 5, "why", "me", force=True)
    assert registry.read().state.champion == 2


def test_a_champion_that_this_pipeline_did_not_register_can_be_replaced(registry: Registry, four: Versions):
    model = four[0].source
    registry.client.delete_registered_model(registry.history)
    registry.client.create_model_version(registry.name, model, model_id=model.removeprefix("models:/"))
    registry.client.set_registered_model_alias(registry.name, "champion", "5")

    assert promote(registry, 1, "it is ours", "me") == Change(5, 1)
    assert aliases(registry.client, registry.name)["champion"] == 1


def test_a_withdrawn_version_stays_so_without_the_history(registry: Registry, four: Versions):
    rollback(registry, "it fails", "me")
    registry.client.delete_registered_model(registry.history)

    state = registry.read().state
    assert (state.champion, state.withdrawn) == (3, frozenset({2}))


def test_a_decision_against_another_one_changes_nothing(
    registry: Registry, four: Versions, monkeypatch: pytest.MonkeyPatch
):
    before = registry.read()
    promote(registry, 1, "somebody else", "them")
    monkeypatch.setattr(registry, "read", lambda: before)  # looked before the other decision
    monkeypatch.setattr(registry, "reconcile", lambda: before.state)

    with pytest.raises(PipelineError, match="somebody else has changed the champion"):
        rollback(registry, "it fails", "me")

    monkeypatch.undo()
    assert registry.read().state.champion == 1
