"""The pipelines as KFP's YAML."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

from components.common.files import replacing
from pipeline.kubeflow.definition.resources import Cluster

PipelineName = Literal["train", "sweep"]


def make_pipeline(name: PipelineName, cluster: Cluster) -> Any:
    """The pipeline as a KFP component, with the resources of a cluster."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from pipeline.kubeflow.definition.pipelines import sweep_pipeline, train_pipeline

        return (sweep_pipeline if name == "sweep" else train_pipeline)(cluster)


def compile_pipeline(path: Path, name: PipelineName, cluster: Cluster, arguments: dict[str, Any]) -> None:
    """Writes a pipeline's YAML, the same bytes each time.

    Args:
        path: The file that receives it.
        name: `train` or `sweep`.
        cluster: Image, GPUs and other resources.
        arguments: The defaults of the pipeline's arguments, from `pipeline_arguments`.
    """
    from kfp.compiler import Compiler

    pipeline = make_pipeline(name, cluster)
    with replacing(path) as partial:
        named = partial.with_name(partial.name + ".yaml")  # KFP looks at the suffix
        Compiler().compile(pipeline, str(named), pipeline_parameters=arguments)
        named.rename(partial)
