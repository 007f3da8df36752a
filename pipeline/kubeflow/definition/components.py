"""The steps as KFP components: each calls the step's own function, and shows what it wrote."""

# KFP reads the annotations (so they are no strings), and knows typing.List, not list.
from typing import List, NamedTuple

from kfp import dsl
from kfp.dsl import (
    HTML,
    Artifact,
    ClassificationMetrics,
    Dataset,
    Input,
    Markdown,
    Metrics,
    Model,
    Output,
    PipelineTaskFinalStatus,
)

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
    """Checks the parameters and divides them among the steps, so that a step depends on its own alone."""
    from pipeline.kubeflow.runtime.entrypoint import status_kept
    from pipeline.kubeflow.runtime.step_parameters import step_parameters

    arguments = {
        "model": model,
        "epochs": epochs,
        "seed": seed,
        "accuracy_min": accuracy_min,
        "accuracy_lower_min": accuracy_lower_min,
        "worst_recall_min": worst_recall_min,
        "calibration_error_max": calibration_error_max,
        "model_megabytes_max": model_megabytes_max,
        "experiment": experiment,
    }
    with status_kept("parameters", code_version) as lines:
        result = step_parameters(arguments, params, candidates)
        lines.append("every name, type and range is right")
    return result


@component
def plan(code_version: str, params: str, candidates: List[str]) -> List[str]:
    """Divides a sweep into its trainings."""
    from components.common.errors import counted
    from pipeline.kubeflow.runtime.entrypoint import status_kept
    from pipeline.kubeflow.runtime.step_parameters import candidate_parameters

    with status_kept("plan", code_version) as lines:
        planned = candidate_parameters(params, candidates)
        lines.append(counted(len(planned), "training"))
    return planned


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
    from pipeline.kubeflow.runtime import artifacts
    from pipeline.kubeflow.runtime.entrypoint import run

    run("validate", code_version, params, data=data.path, validate=validation.path)
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
    from pipeline.kubeflow.runtime import artifacts
    from pipeline.kubeflow.runtime.entrypoint import run

    run(
        "train",
        code_version,
        params,
        data=data.path,
        validate=validation.path,
        train=trained.path,
    )
    artifacts.fill_training(trained, metrics)


@component
def select(
    code_version: str, models: Input[List[Model]], trained: Output[Model], metrics: Output[Metrics]
) -> None:
    """Takes the best model of a sweep, by validation accuracy."""
    from pathlib import Path

    from components.select.step import select as select_best
    from pipeline.kubeflow.runtime import artifacts
    from pipeline.kubeflow.runtime.entrypoint import status_kept

    with status_kept("select", code_version) as lines:
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
    from pipeline.kubeflow.runtime import artifacts
    from pipeline.kubeflow.runtime.entrypoint import run

    run(
        "evaluate",
        code_version,
        params,
        data=data.path,
        validate=validation.path,
        train=trained.path,
        evaluate=evaluation.path,
    )
    artifacts.fill_evaluation(evaluation, metrics, confusion_matrix)
    artifacts.fill_report(evaluation, report)


@component
def gate(
    code_version: str,
    params: str,
    validation: Input[Artifact],
    trained: Input[Model],
    evaluation: Input[Artifact],
    verdict: Output[Artifact],
    table: Output[Markdown],
) -> bool:
    """Judges the evaluated model; returns whether it passed."""
    from pipeline.kubeflow.runtime import artifacts
    from pipeline.kubeflow.runtime.entrypoint import run

    run(
        "gate",
        code_version,
        params,
        validate=validation.path,
        train=trained.path,
        evaluate=evaluation.path,
        gate=verdict.path,
    )
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
    from pipeline.kubeflow.runtime import artifacts
    from pipeline.kubeflow.runtime.entrypoint import run

    run(
        "register",
        code_version,
        params,
        data=data.path,
        validate=validation.path,
        train=trained.path,
        evaluate=evaluation.path,
        gate=verdict.path,
        register=registration.path,
    )
    artifacts.fill_registration(registration)


@component
def finish(experiment: str, status: PipelineTaskFinalStatus, summary: Output[Markdown]) -> None:
    """Runs at the end, whatever came of the run: the summary, and the MLflow run's status."""
    from pathlib import Path

    from pipeline.kubeflow.runtime.exit_handler import close_run

    close_run(status.state, experiment, Path(summary.path))
