"""The steps as KFP components: each calls the step's own function, and shows its files in the KFP UI."""

# KFP reads the annotations (so they are no strings), and knows typing.List, not list.
from typing import List, NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Markdown, Metrics, Model, Output

component = dsl.component(base_image="fashion-pipeline", install_kfp_package=False)


@component
def parameters(
    code_version: str,
    model: str,
    epochs: int,
    seed: int,
    accuracy_min: float,
    accuracy_lower_min: float,
    worst_recall_min: float,
    calibration_error_max: float,
    model_megabytes_max: float,
    experiment: str,
    params: str,
    candidates: List[str] = [],  # noqa: B006 - KFP copies it
) -> NamedTuple("StepParameters", validate=str, train=str, evaluate=str, gate=str, register=str):  # type: ignore[valid-type]
    """Checks the parameters, and gives each step its own, so that no other's change runs it again."""
    arguments = dict(locals())

    from pipeline.kubeflow.runtime.entrypoint import status_kept
    from pipeline.kubeflow.runtime.step_parameters import step_parameters

    with status_kept("parameters", code_version) as lines:
        result = step_parameters(arguments)
        lines.append("every name, type and range is right")
    return result


@component
def plan(code_version: str, params: str, candidates: List[str]) -> List[str]:
    """Divides a sweep into its trainings."""
    from components.common.errors import counted
    from pipeline.kubeflow.runtime.entrypoint import status_kept
    from pipeline.kubeflow.runtime.step_parameters import candidate_parameters

    with status_kept("plan", code_version) as lines:
        trainings = candidate_parameters(params, candidates)
        lines.append(counted(len(trainings), "training"))
    return trainings


@component
def ingest(code_version: str, data_version: str, remote: str, data: Output[Dataset]) -> None:
    """Fetches the data of a version from the DVC remote, every byte verified."""
    from pathlib import Path

    from components.ingest.s3 import fetch_version
    from pipeline.kubeflow.runtime.entrypoint import status_kept

    with status_kept("ingest", code_version) as lines:
        fetch_version(Path(data.path), data_version, remote)
        lines.append(f"{data_version} from {remote}, every byte verified")
    data.metadata["data_version"] = data_version


@component
def validate(
    code_version: str, params: str, data: Input[Dataset], validation: Output[Artifact], report: Output[HTML]
) -> None:
    """Checks every image against the expectations."""
    from pipeline.kubeflow.runtime import artifacts, entrypoint

    entrypoint.run("validate", code_version, params, data=data, validate=validation)
    artifacts.fill_report(validation, report)


@component
def train(
    code_version: str,
    params: str,
    gpus: int,  # for KFP's cache: another number of devices gives other weights
    data: Input[Dataset],
    validation: Input[Artifact],
    trained: Output[Model],
    metrics: Output[Metrics],
) -> None:
    """Trains the network, from its last checkpoint if there is one."""
    from pipeline.kubeflow.runtime import artifacts, entrypoint

    entrypoint.run("train", code_version, params, data=data, validate=validation, train=trained)
    artifacts.fill_training(trained, metrics)


@component
def select(
    code_version: str, models: Input[List[Model]], trained: Output[Model], metrics: Output[Metrics]
) -> None:
    """Takes the best model of a sweep, by validation accuracy."""
    from pathlib import Path

    from components.select.step import select as select_best
    from pipeline.kubeflow.runtime import artifacts, entrypoint

    with entrypoint.status_kept("select", code_version) as lines:
        best = select_best([Path(model.path) for model in models], Path(trained.path))
        accuracy, name = best["validation"]["accuracy"], best["params"]["model"]["name"]
        lines.append(f"{name} is the best of {len(models)}: validation accuracy {accuracy:.4f}")
    artifacts.fill_training(trained, metrics)


@component
def evaluate(
    code_version: str,
    params: str,
    data: Input[Dataset],
    validation: Input[Artifact],
    trained: Input[Model],
    evaluation: Output[Artifact],
    metrics: Output[Metrics],
    confusion_matrix: Output[ClassificationMetrics],
    report: Output[HTML],
) -> None:
    """Measures the model on test."""
    from pipeline.kubeflow.runtime import artifacts, entrypoint

    inputs = {"data": data, "validate": validation, "train": trained}
    entrypoint.run("evaluate", code_version, params, **inputs, evaluate=evaluation)
    artifacts.fill_evaluation(evaluation, metrics, confusion_matrix)
    artifacts.fill_report(evaluation, report)


@component
def gate(
    code_version: str,
    params: str,
    remote: str,
    data: Input[Dataset],
    validation: Input[Artifact],
    trained: Input[Model],
    evaluation: Input[Artifact],
    verdict: Output[Artifact],
    table: Output[Markdown],
) -> bool:
    """Judges the evaluated model, and compares it with the champion; returns whether it passed."""
    from pipeline.kubeflow.runtime import artifacts, entrypoint

    inputs = {"data": data, "validate": validation, "train": trained, "evaluate": evaluation}
    entrypoint.run("gate", code_version, params, remote, **inputs, gate=verdict)
    return artifacts.fill_verdict(verdict, table)


@component
def register(
    code_version: str,
    params: str,
    data: Input[Dataset],
    validation: Input[Artifact],
    trained: Input[Model],
    evaluation: Input[Artifact],
    verdict: Input[Artifact],
    registration: Output[Artifact],
) -> None:
    """Registers the model that passed, once, and gives it its alias."""
    from pipeline.kubeflow.runtime import artifacts, entrypoint

    inputs = {"data": data, "validate": validation, "train": trained, "evaluate": evaluation, "gate": verdict}
    entrypoint.run("register", code_version, params, **inputs, register=registration)
    artifacts.fill_registration(registration)


@component
def deploy(code_version: str, params: str, deployment: str) -> None:
    """Lets the Deployment that serves the champion serve the champion of now."""
    from pathlib import Path

    from components.deploy.step import Target
    from components.deploy.step import deploy as roll
    from pipeline.kubeflow.runtime import entrypoint
    from pipeline.kubeflow.runtime.step_parameters import params_from_json
    from pipeline.registry.versions import open_registry
    from pipeline.tracking.experiment import refusals

    with entrypoint.status_kept("deploy", code_version) as lines, refusals():
        entrypoint.check_tracking_server()
        checked, _ = params_from_json(params)
        registry = open_registry(Path.cwd(), checked.register_.model_name)
        lines.append(roll(registry, Target(*deployment.split("/"))))


@component
def finish(experiment: str, status: dsl.PipelineTaskFinalStatus, summary: Output[Markdown]) -> None:
    """Runs at the end, whatever the result: writes the summary, and sets the MLflow run's status."""
    from pathlib import Path

    from pipeline.kubeflow.runtime import exit_handler

    exit_handler.close_run(status.state, experiment, Path(summary.path))
