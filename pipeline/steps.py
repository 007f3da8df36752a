"""The steps as both orchestrators call them: a function of `components`, then its record in MLflow.

Each takes the project's root (of `params.yaml`, `data` and `outputs`), which a caller may set up as it
likes; nothing here knows who calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.common.errors import counted, first_line
from components.common.files import data_version, read_json
from pipeline import params as parameters
from pipeline.project import Project

if TYPE_CHECKING:
    from pipeline.tracking.runs import Tracker

STEP_NAMES = ("validate", "train", "evaluate", "gate", "register")
SECTIONS: dict[str, tuple[str, ...]] = {
    "validate": ("data", "validate"),
    "train": ("data", "model", "train", "tracking"),
    "evaluate": ("data", "evaluate", "tracking"),
    "gate": ("gate", "tracking"),
    "register": ("register", "evaluate", "tracking"),
}
"""The sections of `params.yaml` that a step reads: a change of any other does not run it again."""


def run_step(name: str, project: Project, params: parameters.Params) -> str:
    """Runs one step, and returns its result in a line. It reads the sections of `SECTIONS[name]` alone.

    Raises:
        PipelineError: Any fault that the user can mend.
    """
    return _STEPS[name](project, params)


def _validate(project: Project, params: parameters.Params) -> str:
    from components.validate.step import validate
    from pipeline.data.dataset import DATA_FILE, manifest

    described = (project.root / DATA_FILE).exists()  # else whoever fetched the data has verified it
    digests = manifest(project.root).sha256 if described else None
    result = validate(project.data, project.out("validate"), params.data, params.validate_, digests)
    count = len(result["expectations"])
    warnings = counted(result["warnings"], "warning")
    return f"validation passed: {counted(count, 'expectation')}, {warnings}"


def _train(project: Project, params: parameters.Params) -> str:
    from components.train.step import check_validated, describe_run, train
    from pipeline.tracking.runs import Tracker

    tracker = Tracker(project.root, params.tracking.experiment)
    verdict = project.out("validate") / "verdict.json"
    check_validated(verdict, data_version(project.data))  # before a run is made for it
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
    except Exception as error:  # whatever it is, the model is made: do not throw it away
        print(f"the run is not recorded yet, the next step does it: {first_line(error)}")
    accuracy = training["validation"]["accuracy"]
    return f"trained: validation accuracy {accuracy:.4f}, weights {training['weights_digest'][:12]}"


def _evaluate(project: Project, params: parameters.Params) -> str:
    from components.evaluate.step import evaluate

    tracker = _tracker(project, params, chosen=True)
    metrics = evaluate(
        project.data, project.out("train"), project.out("evaluate"), params.data, params.evaluate
    )
    _record(tracker, project, "evaluate")
    low, high = metrics["accuracy_lower"], metrics["accuracy_upper"]
    return f"test accuracy {metrics['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})"


def _gate(project: Project, params: parameters.Params) -> str:
    from components.gate.step import RuleVerdict, gate, gate_table, verdict_line

    tracker = _tracker(project, params, chosen=True)
    result = gate(project.out("evaluate"), project.out("gate"), params.gate)
    rules = [RuleVerdict(**rule) for rule in result["rules"]]
    print(gate_table(rules))
    _record(tracker, project, "gate")
    tracker.claim(_training(project), result["verdict"])
    return f"gate: {verdict_line(rules)}"


def _register(project: Project, params: parameters.Params) -> str:
    from components.register.step import register

    tracker = _tracker(project, params)
    result = register(
        data=project.data,
        trained=project.out("train"),
        evaluated=project.out("evaluate"),
        gated=project.out("gate"),
        out=project.registration,
        model_name=params.register_.model_name,
        batch_size=params.evaluate.batch_size,
        run_id=_record(tracker, project, "gate"),
    )
    if not result.registered:
        return f"not registered: {result.reason}"
    return f"{result.model_name} version {result.version} is {result.alias}: {result.reason}"


def _tracker(project: Project, params: parameters.Params, *, chosen: bool = False) -> Tracker:
    from pipeline.tracking.runs import CHOSEN, CLAIMED, Tracker

    tracker = Tracker(project.root, params.tracking.experiment)
    tracker.claim(_training(project), CHOSEN if chosen else CLAIMED)
    return tracker


def _training(project: Project) -> dict[str, Any]:
    training: dict[str, Any] = read_json(project.out("train") / "training.json", "train")
    return training


def _record(tracker: Tracker, project: Project, until: str) -> str:
    from pipeline.tracking.runs import Folders

    order = STEP_NAMES.index(until)
    done = {step: project.out(step) for step in STEP_NAMES[: order + 1]}
    return tracker.record(Folders(**done))


_STEPS: dict[str, Callable[[Project, parameters.Params], str]] = {
    "validate": _validate,
    "train": _train,
    "evaluate": _evaluate,
    "gate": _gate,
    "register": _register,
}
