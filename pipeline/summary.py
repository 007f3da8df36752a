"""What a person wants to know after a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.common.errors import redacted
from components.common.files import read_json
from pipeline.data.dataset import manifest
from pipeline.git import git_version
from pipeline.project import Project
from pipeline.registry.versions import last_model
from pipeline.tracking.server import experiment_page
from pipeline.tracking.store import store_folder

if TYPE_CHECKING:
    from pipeline.tracking.runs import Tracker


def summary(project: Project) -> str:
    """The summary of what the steps wrote.

    Raises:
        PipelineError: A step has not run yet.
    """
    from components.gate.step import RuleVerdict, gate_table
    from components.register.step import outcome_file
    from pipeline.tracking.runs import Tracker

    validation = read_json(project.out("validate") / "validation.json", "validate")
    training = read_json(project.out("train") / "training.json", "train")
    evaluation = read_json(project.out("evaluate") / "evaluation.json", "evaluate")
    gate = read_json(project.out("gate") / "gate.json", "gate")
    outcome = read_json(outcome_file(project.registration), "register")
    current = outcome["weights_digest"] == training["weights_digest"]
    params = project.params()
    tracker = Tracker(project.root, params.tracking.experiment, read_only=True)
    registered = last_model(project, tracker, params.register_.model_name)
    metrics = evaluation["metrics"]
    rules = [RuleVerdict(**rule) for rule in gate["rules"]]
    rows = [
        ("data", f"{manifest(project.root).version}, validation {validation['verdict']}"),
        ("model", f"{training['params']['model']['name']}, weights {training['weights_digest'][:12]}"),
        (
            "test accuracy",
            f"{metrics['accuracy']:.2%} (95 % interval {metrics['accuracy_lower']:.2%}"
            f" to {metrics['accuracy_upper']:.2%})",
        ),
        ("gate", gate["verdict"]),
        ("registry", registered or "lacks this model: `make run` registers it"),
        ("", outcome["reason"] if current else "the registry was last told of another model"),
    ]
    width = max(len(name) for name, _ in rows)
    head = "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
    return f"{head}\n\n{gate_table(rules)}\n\n{_next(project, tracker, registered)}"


def _next(project: Project, tracker: Tracker, registered: str | None) -> str:
    embedded = tracker.uri.startswith("sqlite")
    lines = [
        "reports    outputs/validate/report.html, outputs/evaluate/report.html",
        f"runs       {'make ui' if embedded else experiment_page(tracker.uri, tracker.experiment_id)}"
        + (f"  (kept in {store_folder(project.root)})" if embedded else ""),
    ]
    if git_version():
        lines.append(
            "next       source .venv/bin/activate && dvc exp run -S train.epochs=3 && dvc metrics diff"
        )
    else:
        lines.append("next       change params.yaml, and `make run` again")
    if registered and "version" in registered:
        name, version = registered.partition(",")[0].split(" version ")
        lines.append(f"use it     mlflow.set_tracking_uri('{redacted(tracker.uri)}')")
        lines.append(f"           mlflow.pyfunc.load_model('models:/{name}/{version}')")
    return "\n".join(lines)
