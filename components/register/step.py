"""Registration in the MLflow model registry of a model that passed the gate, once."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.common.errors import SUBMIT_ANEW, PipelineError
from components.common.files import content_key, data_version, files_digest, read_json, write_json
from components.register.card import write_card
from components.register.logged_model import log_model
from components.register.promotion import promote
from components.registry.champion import Candidate, compare_with, sentence
from components.registry.predictions import artifacts, has_files, keep_predictions
from components.registry.refusal import refusal
from components.registry.registry import (
    CARD_FOLDER,
    CARD_TAG,
    COMPARISON_TAG,
    DATA_TAG,
    FILE_TAG,
    GATE_TAG,
    LOST_TAG,
    SENTENCE_TAG,
    TASK_TAG,
    WEIGHTS_TAG,
    Registry,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from components.register.params import CardParams
    from components.registry.params import ComparisonParams

RUN_TAG = "run_id"
"""The current run of a version whose first run was deleted: MLflow cannot change a version's run."""
COMMIT_TAG, DIRTY_TAG = "mlflow.source.git.commit", "git.dirty"
RUN_TAGS = {COMMIT_TAG, DIRTY_TAG, "mlflow.user"}
"""Tags of the run that the version gets, too."""


@dataclass(frozen=True)
class Registration:
    """The outcome of a registration. `version` is null for a rejected model, `alias` if it has none."""

    registered: bool
    reason: str
    weights_digest: str
    run_id: str
    model_name: str
    version: int | None = None
    alias: str | None = None


def register(
    *,
    candidate: Candidate,
    validated: Path,
    gated: Path,
    out: Path,
    model_name: str,
    params: ComparisonParams,
    card: CardParams,
    run_id: str,
    by: str,
) -> Registration:
    """Registers the model as a version if the gate passed, and sets the aliases of the registered model.

    The same weights are registered once. The version becomes `champion` if the gate says that it beats the
    champion; if another model is champion by now, it is compared with that one.

    Args:
        candidate: The model that the earlier steps trained and evaluated.
        validated: Folder of the validate step, for the model card.
        gated: Folder of the gate step.
        out: The JSON file that receives what the inputs decide: whether which weights are registered as which
            model. The outcome, which depends on the registry, too, goes to `outcome_file(out)`.
        model_name: The registered model.
        params: The limits of the comparison.
        card: What the model card says beside measurements.
        run_id: The MLflow run of this model, whose commit the version bears too; the tracking URI
            is set already.
        by: The user, for the history.

    Raises:
        PipelineError: Model, evaluation and gate are not of the same weights.
        TrackingError: The server refused a call or went away.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    training = read_json(candidate.trained / "training.json", "train")
    evaluation = candidate.evaluation()
    gate = read_json(gated / "gate.json", "gate")
    digest = training[WEIGHTS_TAG]
    if not digest == evaluation[WEIGHTS_TAG] == gate[WEIGHTS_TAG]:
        raise PipelineError(
            "model, evaluation and gate are not of the same weights", "run `dvc repro`", SUBMIT_ANEW
        )
    if not gate["data_version"] == evaluation["data_version"] == data_version(candidate.data):
        raise PipelineError("the gate judged other data than this", "run `dvc repro`", SUBMIT_ANEW)
    client = MlflowClient()
    registry = Registry(client, model_name)
    try:
        found = find_version(client, model_name, digest)
        if found and found.tags.get(GATE_TAG) != gate["verdict"]:
            registry.set_tags(found, {GATE_TAG: gate["verdict"], SENTENCE_TAG: gate["sentence"]})
        if gate["verdict"] != "passed":
            reason = gate["sentence"]
            if found:
                registry.reconcile()
                reason += f"; it is version {found.version} since an earlier gate"
            return _write(out, Registration(False, reason, digest, run_id, model_name))
        is_new = found is None
        if found is None:
            made = _create_version(registry, candidate, training, gate, run_id)
            found = find_version(client, model_name, digest) or made  # another process may have been faster
            keep_predictions(client, found, evaluation["data_version"], candidate.predicted())
        elif found.run_id != run_id:
            registry.set_tags(found, {RUN_TAG: run_id})
        drop_copies(registry, found)

        def compare(champion: ModelVersion) -> tuple[dict[str, Any], str]:
            """The gate's comparison, if this is the champion that it was made with; else a new one."""
            known = gate["comparison"]
            if (
                not known
                or known["error"]
                or known["champion"][WEIGHTS_TAG] != champion.tags.get(WEIGHTS_TAG)
            ):
                known = compare_with(client, candidate, champion, params)
            return known, sentence([], known)

        comparison, reason = promote(registry, found, compare, gate["sentence"], by)
        if comparison and (is_new or comparison["beats"]):  # else it keeps what it was registered with
            registry.set_tags(found, {COMPARISON_TAG: json.dumps(comparison), SENTENCE_TAG: reason})
        if CARD_TAG not in found.tags:
            tags = client.get_model_version(model_name, found.version).tags
            gate |= {"comparison": json.loads(tags[COMPARISON_TAG]), "sentence": tags[SENTENCE_TAG]}
            _add_card(registry, found, candidate, validated, gate, card)
        state = registry.reconcile()
    except MlflowException as error:
        raise refusal(error) from error
    number = int(found.version)
    alias = next((alias for alias, holder in state.aliases.items() if holder == number), None)
    return _write(out, Registration(True, reason, digest, run_id, model_name, number, alias))


def _add_card(
    registry: Registry,
    version: ModelVersion,
    candidate: Candidate,
    validated: Path,
    gate: dict[str, Any],
    params: CardParams,
) -> None:
    """Keeps the model card with the version, and in short as its description."""
    with TemporaryDirectory() as name:
        folder = Path(name) / CARD_FOLDER
        description = write_card(
            folder,
            data=candidate.data,
            validated=validated,
            trained=candidate.trained,
            evaluated=candidate.evaluated,
            gate=gate,
            params=params,
            model_name=registry.name,
            version=int(version.version),
            commit=version.tags.get(COMMIT_TAG, ""),
            uncommitted=version.tags.get(DIRTY_TAG) == "true",
            run_id=version.run_id,
        )
        artifacts(registry.client, version).log_artifacts(str(folder), CARD_FOLDER)
        registry.client.update_model_version(registry.name, version.version, description)
        registry.set_tags(version, {CARD_TAG: files_digest(sorted(folder.iterdir()), folder)})


def outcome_file(registration: Path) -> Path:
    """Where the outcome of a registration is, beside its record. DVC does not track it."""
    return registration.with_name("registration-outcome.json")


def _write(out: Path, outcome: Registration) -> Registration:
    content = asdict(outcome)
    write_json(outcome_file(out), content)
    write_json(out, {name: content[name] for name in ("registered", "weights_digest", "model_name")})
    return outcome


def find_version(client: MlflowClient, model_name: str, weights_digest: str) -> ModelVersion | None:
    """The version with these weights, if its files still exist."""
    found = client.search_model_versions(f"name = '{model_name}' and tag.weights_digest = '{weights_digest}'")
    candidates = sorted(found, key=lambda version: int(version.version))
    return next((version for version in candidates if has_files(client, version)), None)


def drop_copies(registry: Registry, first: ModelVersion) -> None:
    """Of the versions with the same weights, keeps the first whose files exist; see `find_version`.

    Two processes may register the same weights at the same moment. If one is killed then, its version stays
    until another process registers these weights.
    """
    for version in registry.read().versions.values():
        if version.tags.get(WEIGHTS_TAG) == first.tags[WEIGHTS_TAG]:
            if int(version.version) > int(first.version):
                registry.delete(version)
            elif int(version.version) < int(first.version):
                registry.set_tags(version, {LOST_TAG: "true"})


def _create_version(
    registry: Registry, candidate: Candidate, training: dict[str, Any], gate: dict[str, Any], run_id: str
) -> ModelVersion:
    """Logs the model and registers it."""
    client, evaluation = registry.client, candidate.evaluation()
    metrics = evaluation["metrics"]
    task = evaluation["task"]
    source, model_id = log_model(client, candidate.trained, training, task, run_id, candidate.data)
    tags = {
        WEIGHTS_TAG: training[WEIGHTS_TAG],
        FILE_TAG: training[FILE_TAG],
        DATA_TAG: evaluation["data_version"],
        TASK_TAG: content_key(task),
        **{f"test_{name}": repr(metrics[name]) for name in ("accuracy", "accuracy_lower", "accuracy_upper")},
        GATE_TAG: gate["verdict"],
        COMPARISON_TAG: json.dumps(gate["comparison"]),
        SENTENCE_TAG: gate["sentence"],
        **{tag: value for tag, value in client.get_run(run_id).data.tags.items() if tag in RUN_TAGS},
    }
    return registry.create_version(source, run_id, model_id, tags)
