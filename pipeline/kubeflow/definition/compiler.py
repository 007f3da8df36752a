"""Compiles the pipelines to KFP's YAML."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

from components.common.files import replacing
from pipeline.kubeflow.definition.resources import Cluster

PipelineName = Literal["train", "sweep", "batch"]


def make_pipeline(name: PipelineName, cluster: Cluster) -> Any:
    """The pipeline as a KFP component, with the resources of a cluster."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from pipeline.kubeflow.definition.batch import batch_pipeline
        from pipeline.kubeflow.definition.pipelines import sweep_pipeline, train_pipeline

        return {"train": train_pipeline, "sweep": sweep_pipeline, "batch": batch_pipeline}[name](cluster)


def compile_pipeline(path: Path, name: PipelineName, cluster: Cluster, arguments: dict[str, Any]) -> None:
    """Writes a pipeline's YAML to `path`, the same bytes each time.

    `arguments`, as `pipeline_arguments` or `batch_arguments` return them, are the defaults in the KFP UI.
    """
    from kfp.compiler import Compiler

    pipeline = make_pipeline(name, cluster)
    with replacing(path) as partial:
        compiled = partial.with_name(partial.name + ".yaml")  # KFP requires the suffix
        Compiler().compile(pipeline, str(compiled), pipeline_parameters=arguments)
        compiled.rename(partial)
