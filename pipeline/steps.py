"""Each step: its function in `components`, then its record in MLflow. DVC and KFP both call these."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import counted, first_line
from components.common.files import data_version, read_json
from components.common.idx import FILE_NAMES
from components.common.rules import rules_table
from components.evaluate.step import evaluate
from components.gate.step import all_rules, gate
from components.ingest.s3 import fetch_version
from components.register.step import register
from components.registry.champion import Candidate
from components.train.step import check_validated, describe_run, train
from components.validate.step import validate
from pipeline.data.dataset import DATA_FILE, manifest
from pipeline.data.dvc_cache import DvcSource
from pipeline.params import Params
from pipeline.project import Project
from pipeline.tracking.user import user

if TYPE_CHECKING:
    from pipeline.tracking.runs import Tracker

SECTIONS: dict[str, tuple[str, ...]] = {
    "validate": ("data", "validate"),
    "train": ("data", "model", "train", "tracking"),
    "evaluate": ("data", "evaluate", "tracking"),
    "gate": ("gate", "register", "evaluate", "tracking"),
    "register": ("register", "card", "gate", "evaluate", "tracking"),
}
"""The sections of `params.yaml` that a step reads: a change of another section does not run it again."""
STEP_NAMES = tuple(SECTIONS)


def run_step(name: str, project: Project, params: Params) -> str:
    """Runs one step, and returns its result in a line.

    Raises:
        PipelineError: The step failed for a reason that the user can correct.
    """
    steps = {
        "validate": _validate,
        "train": _train,
        "evaluate": _evaluate,
        "gate": _gate,
        "register": _register,
    }
    return steps[name](project, params)


def _validate(project: Project, params: Params) -> str:
    # A pod's project has no data.dvc: there the ingest step has compared the files with their hashes.
    has_manifest = (project.root / DATA_FILE).exists()
    digests = manifest(project.root).sha256 if has_manifest else None
    result = validate(project.data, project.out("validate"), params.data, params.validate_, digests)
    expectations = counted(len(result["expectations"]), "expectation")
    return f"validation passed: {expectations}, {counted(result['warnings'], 'warning')}"


def _train(project: Project, params: Params) -> str:
    from pipeline.tracking.runs import Tracker

    tracker = Tracker(project.root, params.tracking.experiment)
    verdict = project.out("validate") / "verdict.json"
    check_validated(verdict, data_version(project.data))  # before a run is created in MLflow
    description = describe_run(project.data, params.data, params.model, params.train, project.training_state)
    with tracker.training(description) as on_epoch:
        training = train(
            data=project.data,
            validation=verdict,
            out=project.out("train"),
            state=project.training_state,
            data_params=params.data,
            model_params=params.model,
            train_params=params.train,
            on_epoch=on_epoch,
        )
    try:
        _record(tracker, project, "train")
    except Exception as error:  # the trained model is kept, whatever error MLflow raises
        print(f"the run is not recorded in MLflow yet, the next step records it: {first_line(error)}")
    accuracy = training["validation"]["accuracy"]
    return f"trained: validation accuracy {accuracy:.4f}, weights {training['weights_digest'][:12]}"


def _evaluate(project: Project, params: Params) -> str:
    tracker = _open_tracker(project, params, chosen=True)
    metrics = evaluate(
        project.data, project.out("train"), project.out("evaluate"), params.data, params.evaluate
    )
    _record(tracker, project, "evaluate")
    low, high = metrics["accuracy_lower"], metrics["accuracy_upper"]
    return f"test accuracy {metrics['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})"


def _gate(project: Project, params: Params) -> str:
    tracker = _open_tracker(project, params, chosen=True)
    candidate = candidate_of(project, params)
    result = gate(candidate, project.out("gate"), params.gate, params.register_.model_name)
    print(rules_table(all_rules(result)))
    _record(tracker, project, "gate")
    tracker.claim(_read_training(project), result["verdict"])
    return f"gate: {result['sentence']}"


def _register(project: Project, params: Params) -> str:
    tracker = _open_tracker(project, params)
    result = register(
        candidate=candidate_of(project, params),
        validated=project.out("validate"),
        gated=project.out("gate"),
        out=project.registration,
        model_name=params.register_.model_name,
        params=params.gate,
        card=params.card,
        run_id=_record(tracker, project, "gate"),
        by=user(tracker.uri),
    )
    if not result.registered:
        return f"not registered: {result.reason}"
    is_now = f"is {result.alias}" if result.alias else "has no alias"
    return f"{result.model_name} version {result.version} {is_now}: {result.reason}"


def candidate_of(project: Project, params: Params) -> Candidate:
    """The trained and evaluated model of a project."""
    return Candidate(
        project.data,
        project.out("train"),
        project.out("evaluate"),
        params.evaluate.batch_size,
        partial(_fetch_data, project),
    )


def _fetch_data(project: Project, version: str, folder: Path) -> None:
    """Puts a data version into a folder: from the DVC remote that a pod was given, or by DVC."""
    if project.remote:
        fetch_version(folder, version, project.remote)
    else:
        DvcSource(project.root, version).fetch(folder, FILE_NAMES)


def _open_tracker(project: Project, params: Params, *, chosen: bool = False) -> Tracker:
    """Opens the tracker, and tags the model's MLflow run with this pipeline run."""
    from pipeline.tracking.runs import CHOSEN, CLAIMED, Tracker

    tracker = Tracker(project.root, params.tracking.experiment)
    tracker.claim(_read_training(project), CHOSEN if chosen else CLAIMED)
    return tracker


def _read_training(project: Project) -> dict[str, Any]:
    training: dict[str, Any] = read_json(project.out("train") / "training.json", "train")
    return training


def _record(tracker: Tracker, project: Project, last_step: str) -> str:
    """Records the files of the steps up to this one, and returns the MLflow run's id."""
    from pipeline.tracking.runs import Folders

    steps = STEP_NAMES[: STEP_NAMES.index(last_step) + 1]
    return tracker.record(Folders(**{step: project.out(step) for step in steps}))
