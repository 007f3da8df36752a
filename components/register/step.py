"""Registration in the MLflow model registry of a model that passed the gate, once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import (
    MLFLOW_SETTING,
    SUBMIT_ANEW,
    PipelineError,
    TrackingError,
    first_line,
)
from components.common.files import content_key, data_version, read_json, write_json
from components.register.champion import assign_alias
from components.register.logged_model import log_model

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


RUN_TAG = "run_id"
"""The current run of a version whose first run was deleted: MLflow cannot change a version's run."""
GIT_TAGS = {"mlflow.source.git.commit", "git.dirty"}


@dataclass(frozen=True)
class Registration:
    """The outcome of a registration. `version` and `alias` are null for a rejected model."""

    registered: bool
    reason: str
    weights_digest: str
    run_id: str
    model_name: str
    version: int | None = None
    alias: str | None = None


def register(
    *,
    data: Path,
    trained: Path,
    evaluated: Path,
    gated: Path,
    out: Path,
    model_name: str,
    batch_size: int,
    run_id: str,
) -> Registration:
    """Registers the model as a version if the gate passed, and sets the alias of the version.

    The same weights are registered once. The version becomes `champion` if it is at least as accurate as the
    champion on this data's test set, else `challenger`.

    Args:
        data: Folder of the four IDX files, on which a champion of other data is measured anew.
        trained: Folder of the train step.
        evaluated: Folder of the evaluate step.
        gated: Folder of the gate step.
        out: The JSON file that receives what the inputs decide: whether which weights are registered as which
            model. The outcome, which depends on the registry, too, goes to `outcome_file(out)`.
        model_name: The registered model.
        batch_size: Images per prediction when a champion of other data is measured.
        run_id: The MLflow run of this model, whose commit the version bears too; the tracking URI
            is set already.

    Raises:
        PipelineError: Model, evaluation and gate are not of the same weights.
        TrackingError: The server refused a call or went away.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    training = read_json(trained / "training.json", "train")
    evaluation = read_json(evaluated / "evaluation.json", "evaluate")
    verdict = read_json(gated / "gate.json", "gate")
    digest = training["weights_digest"]
    if not digest == evaluation["weights_digest"] == verdict["weights_digest"]:
        raise PipelineError(
            "model, evaluation and gate are not of the same weights", "run `dvc repro`", SUBMIT_ANEW
        )
    if not verdict["data_version"] == evaluation["data_version"] == data_version(data):
        raise PipelineError("the gate judged other data than this", "run `dvc repro`", SUBMIT_ANEW)
    client = MlflowClient()
    try:
        found = find_version(client, model_name, digest)
        if found and found.tags.get("gate") != verdict["verdict"]:
            client.set_model_version_tag(model_name, found.version, "gate", verdict["verdict"])
        if verdict["verdict"] != "passed":
            failed = ", ".join(rule["metric"] for rule in verdict["rules"] if not rule["passed"])
            reason = f"the gate rejected it: {failed}"
            if found:
                reason += f"; it is version {found.version} since an earlier gate, and keeps its alias"
            return _write(out, Registration(False, reason, digest, run_id, model_name))
        if found is None:
            source, model_id = log_model(client, trained, digest, run_id, data)
            made = _create_version(
                client,
                model_name,
                source=source,
                model_id=model_id,
                run_id=run_id,
                tags={
                    "weights_digest": digest,
                    "data_version": evaluation["data_version"],
                    "test_accuracy": repr(evaluation["metrics"]["accuracy"]),
                    "gate": verdict["verdict"],
                    "task": content_key(evaluation["task"]),
                    **{
                        tag: value
                        for tag, value in client.get_run(run_id).data.tags.items()
                        if tag in GIT_TAGS
                    },
                },
            )
            # Logging takes time: if another registration was faster, its version is kept.
            found = find_version(client, model_name, digest) or made
            if found.version != made.version:
                client.delete_model_version(model_name, made.version)
        elif found.run_id != run_id and found.tags.get(RUN_TAG) != run_id:
            client.set_model_version_tag(model_name, found.version, RUN_TAG, run_id)
        alias, reason = assign_alias(client, found, evaluation, data, batch_size)
    except MlflowException as error:
        raise TrackingError(
            f"the registry refused or did not answer: {first_line(error)}",
            "check the server and MLFLOW_TRACKING_URI, then run the same command again",
            f"check the server and {MLFLOW_SETTING}, then submit the run again",
        ) from error
    return _write(out, Registration(True, reason, digest, run_id, model_name, int(found.version), alias))


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
    import mlflow
    from mlflow.exceptions import MlflowException

    found = client.search_model_versions(f"name = '{model_name}' and tag.weights_digest = '{weights_digest}'")
    for candidate in sorted(found, key=lambda v: int(v.version)):
        try:
            uri = client.get_model_version_download_uri(model_name, candidate.version)
            if mlflow.artifacts.list_artifacts(artifact_uri=uri, tracking_uri=client.tracking_uri):
                return candidate
        except FileNotFoundError:
            continue
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise  # an error of the server does not mean that the files are lost
    return None


def _create_version(
    client: MlflowClient, name: str, *, source: str, model_id: str, run_id: str, tags: dict[str, str]
) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    return client.create_model_version(name, source, run_id, tags=tags, model_id=model_id)
