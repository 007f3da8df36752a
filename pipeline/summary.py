"""The summary of the last run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.common.errors import redacted
from components.common.files import read_json
from components.common.rules import rules_table
from components.gate.step import all_rules
from components.register.step import outcome_file
from pipeline.data.dataset import manifest
from pipeline.git import git_version
from pipeline.project import Project
from pipeline.registry.versions import last_model
from pipeline.tracking.server import experiment_page
from pipeline.tracking.store import store_folder

if TYPE_CHECKING:
    from pipeline.tracking.runs import Tracker


def summarize(project: Project) -> str:
    """Data, verdicts, accuracy and registration of the last run, and what to look at next.

    Raises:
        PipelineError: A step has not run yet.
        TrackingError: MLflow cannot be reached.
    """
    from pipeline.tracking.runs import Tracker

    validation = read_json(project.out("validate") / "validation.json", "validate")
    training = read_json(project.out("train") / "training.json", "train")
    evaluation = read_json(project.out("evaluate") / "evaluation.json", "evaluate")
    gate = read_json(project.out("gate") / "gate.json", "gate")
    outcome = read_json(outcome_file(project.registration), "register")
    current = outcome["weights_digest"] == training["weights_digest"]
    params = project.params()
    tracker = Tracker(project.root, params.tracking.experiment, read_only=True)
    found = last_model(project, tracker, params.register_.model_name)
    registry, model_uri = found or ("lacks this model: `make run` registers it", "")
    metrics = evaluation["metrics"]
    rows = [
        ("data", f"{manifest(project.root).version}, validation {validation['verdict']}"),
        ("model", f"{training['params']['model']['name']}, weights {training['weights_digest'][:12]}"),
        (
            "test accuracy",
            f"{metrics['accuracy']:.2%} (95 % interval {metrics['accuracy_lower']:.2%}"
            f" to {metrics['accuracy_upper']:.2%})",
        ),
        ("gate", gate["sentence"]),
        ("registry", registry),
    ]
    if not current:
        rows.append(("", "the last registration was of another model"))
    elif outcome["reason"] != gate["sentence"]:
        rows.append(("", outcome["reason"]))
    facts = "\n".join(f"{name:<13}  {value}" for name, value in rows)
    rules = rules_table(all_rules(gate))
    return f"{facts}\n\n{rules}\n\n{_next_actions(project, tracker, model_uri)}"


def _next_actions(project: Project, tracker: Tracker, model_uri: str) -> str:
    if tracker.uri.startswith("sqlite"):
        runs = f"make ui  (kept in {store_folder(project.root)})"
    else:
        runs = experiment_page(tracker.uri, tracker.experiment_id)
    if git_version():
        experiment = "source .venv/bin/activate && dvc exp run -S train.epochs=3 && dvc metrics diff"
    else:
        experiment = "change params.yaml, and `make run` again"
    lines = [
        "reports    outputs/validate/report.html, outputs/evaluate/report.html",
        f"runs       {runs}",
        f"next       {experiment}",
    ]
    if model_uri:
        lines.append("use it     make app, make serve, fashion predict PICTURE; in Python:")
        lines.append(f"           mlflow.set_tracking_uri('{redacted(tracker.uri)}')")
        lines.append(f"           mlflow.pyfunc.load_model('{model_uri}')")
    return "\n".join(lines)
