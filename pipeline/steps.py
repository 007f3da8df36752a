"""The steps as both orchestrators call them: a function of `components`, then its record in MLflow.

Each takes the project's root (of `params.yaml`, `data` and `outputs`), which a caller may set up as it
likes; nothing here knows who calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import TrackingError
from pipeline import params as parameters
from pipeline.store import check_server, tracking_uri

if TYPE_CHECKING:
    from pipeline.tracking import Tracker

STEP_NAMES = ("validate", "train", "evaluate", "gate", "register")


@dataclass(frozen=True)
class Project:
    """The places of a project."""

    root: Path

    @property
    def data(self) -> Path:
        """The four IDX files."""
        return self.root / "data"

    @property
    def registration(self) -> Path:
        """What the registry was told.

        It lies with the embedded store, so that whoever deletes the store makes DVC register again.
        """
        return self.root / "mlruns" / "registration.json"

    def out(self, step: str) -> Path:
        """The folder of a step's files."""
        return self.root / "outputs" / step

    @property
    def training_state(self) -> Path:
        """What an unfinished training goes on from; DVC does not know of it, and does not remove it."""
        return self.root / "outputs" / ".training"

    def params(self) -> parameters.Params:
        """The checked parameters."""
        return parameters.load(self.root / "params.yaml")


def run_step(name: str, project: Project) -> None:
    """Runs one step with the parameters of the project.

    Raises:
        PipelineError: Any fault that the user can mend.
    """
    params = project.params()
    if name != "validate":
        check_server(tracking_uri(project.root))
    _STEPS[name](project, params)


def _validate(project: Project, params: parameters.Params) -> None:
    from components.validate.step import validate
    from pipeline.dataset import manifest

    result = validate(
        project.data,
        project.out("validate"),
        params.data,
        params.validate_,
        manifest(project.root).sha256,
    )
    count = len(result["expectations"])
    print(f"validation passed: {count} expectations, {result['warnings']} warnings")


def _train(project: Project, params: parameters.Params) -> None:
    from components.train.step import check_validated, describe_run, train
    from pipeline.tracking import Tracker

    tracker = Tracker(project.root, params.tracking.experiment)
    description = describe_run(project.data, params.data, params.model, params.train)
    verdict = project.out("validate") / "verdict.json"
    check_validated(verdict, description["data_version"])  # before a run is made for it
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
    except TrackingError as error:  # the model is made: do not throw it away
        print(f"the run is not recorded yet, the next step does it: {error}")
    accuracy = training["validation"]["accuracy"]
    print(f"trained: validation accuracy {accuracy:.4f}, weights {training['weights_digest'][:12]}")


def _evaluate(project: Project, params: parameters.Params) -> None:
    from components.evaluate.step import evaluate
    from pipeline.tracking import Tracker

    tracker = Tracker(project.root, params.tracking.experiment)
    metrics = evaluate(
        project.data, project.out("train"), project.out("evaluate"), params.data, params.evaluate
    )
    _record(tracker, project, "evaluate")
    low, high = metrics["accuracy_lower"], metrics["accuracy_upper"]
    print(f"test accuracy {metrics['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})")


def _gate(project: Project, params: parameters.Params) -> None:
    from components.gate.step import RuleVerdict, gate, gate_table
    from pipeline.tracking import Tracker

    result = gate(project.out("evaluate"), project.out("gate"), params.gate)
    print(gate_table([RuleVerdict(**rule) for rule in result["rules"]]))
    print(f"gate: {result['verdict']}")
    _record(Tracker(project.root, params.tracking.experiment), project, "gate")


def _register(project: Project, params: parameters.Params) -> None:
    from components.register.step import register
    from pipeline.tracking import Tracker

    tracker = Tracker(project.root, params.tracking.experiment)
    result = register(
        data=project.data,
        trained=project.out("train"),
        evaluated=project.out("evaluate"),
        gated=project.out("gate"),
        out=project.registration,
        model_name=params.register_.model_name,
        evaluate_params=params.evaluate,
        run_id=_record(tracker, project, "gate"),
    )
    if result.registered:
        print(f"{result.model_name} version {result.version} is {result.alias}: {result.reason}")
    else:
        print(f"not registered: {result.reason}")


def _record(tracker: Tracker, project: Project, until: str) -> str:
    from pipeline.tracking import Folders

    order = STEP_NAMES.index(until)
    done = {step: project.out(step) for step in STEP_NAMES[: order + 1]}
    return tracker.record(Folders(**done))


_STEPS: dict[str, Callable[[Project, parameters.Params], None]] = {
    "validate": _validate,
    "train": _train,
    "evaluate": _evaluate,
    "gate": _gate,
    "register": _register,
}
