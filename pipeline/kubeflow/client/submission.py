"""A submission: the checked arguments and the compiled pipeline, made before any call to KFP."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.git import git_version
from pipeline.kubeflow.definition.arguments import (
    Batch,
    batch_arguments,
    check_remote,
    pipeline_arguments,
)
from pipeline.kubeflow.definition.compiler import PipelineName, compile_pipeline
from pipeline.kubeflow.definition.resources import Cluster
from pipeline.params import load


@dataclass(frozen=True)
class Submission:
    """A pipeline that is ready to be submitted, once or on a schedule.

    Args:
        pipeline_spec: The compiled pipeline in the format of KFP's API.
        arguments: Its arguments.
        service_account: Of the pods. None: the server's default.
        title: The model, the number of candidates or `batch`, and the commit.
    """

    pipeline_spec: dict[str, Any]
    arguments: dict[str, Any]
    service_account: str | None = None
    title: str = ""


def prepare(
    root: Path,
    cluster: Cluster,
    params: Sequence[str] = (),
    candidates: Sequence[str] = (),
    no_cache: bool = False,
    service_account: str | None = None,
    batch: Batch | None = None,
) -> Submission:
    """Checks the parameters and compiles the pipeline.

    Args:
        root: The project.
        cluster: What to request from the cluster.
        params: `NAME=VALUE` of pipeline arguments or of parameters such as `train.epochs`.
        candidates: Candidates of a sweep; empty for one training.
        no_cache: Whether every step runs again.
        service_account: Of the pods. None: the server's default.
        batch: Pictures that are to be predicted, instead of a training.

    Raises:
        ParameterError: A name, type or range is wrong, or pods cannot read the DVC remote.
    """
    checked = load(root / "params.yaml")
    name: PipelineName = "batch" if batch else "sweep" if candidates else "train"
    if batch:
        arguments, title = batch_arguments(checked, batch, params), "batch"
    else:
        arguments = pipeline_arguments(root, checked, params, candidates)
        check_remote(arguments["remote"])
        title = f"sweep of {len(candidates)}" if candidates else str(arguments["model"])
    commit = git_version().get("mlflow.source.git.commit", "")[:7]
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "pipeline.yaml"
        compile_pipeline(package, name, cluster, arguments)
        pipeline_spec = read_package(package, cached=not no_cache)
    return Submission(pipeline_spec, arguments, service_account, f"{title} {commit}".rstrip())


def read_package(path: Path, cached: bool = True) -> dict[str, Any]:
    """A compiled pipeline in the format of KFP's API.

    Args:
        path: The YAML file: pipeline spec and platform spec.
        cached: False switches the cache off for every task, also in loops and conditions.
    """
    import yaml  # type: ignore[import-untyped]  # as KFP; YAML 1.2 takes some of its strings for numbers

    pipeline, *platform = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    if not cached:
        for component in (pipeline["root"], *pipeline.get("components", {}).values()):
            for task in component.get("dag", {}).get("tasks", {}).values():
                task["cachingOptions"] = {}
    return {"pipeline_spec": pipeline, "platform_spec": platform[0]} if platform else pipeline


def dated(title: str) -> str:
    """The title with date and time, so that each run has a name of its own."""
    return f"{title} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
