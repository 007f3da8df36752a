"""`python -m tests.golden` compiles the pipelines anew; look at the difference before you commit it."""

from pathlib import Path
from typing import Any, get_args

from pipeline.kubeflow.definition.arguments import Batch, batch_arguments, pipeline_arguments
from pipeline.kubeflow.definition.compiler import PipelineName, compile_pipeline
from pipeline.kubeflow.definition.resources import Cluster
from pipeline.params import load
from tests.support.project import ROOT

CANDIDATES = ["model.name=resnet-xs", "model.name=cnn-32-100 train.epochs=3"]
BATCH = Batch("s3://shop/images", "s3://shop/predictions", 3)


def write(folder: Path, name: PipelineName, **cluster: Any) -> Path:
    """Compiles a pipeline for a code version that does not change with each edit."""
    remote = ["remote=s3://fashion/dvc"]
    params = load(ROOT / "params.yaml")
    if name == "batch":
        arguments = batch_arguments(params, BATCH)
    else:
        arguments = pipeline_arguments(ROOT, params, remote, CANDIDATES if name == "sweep" else [])
    path = folder / f"{name}.yaml"
    cluster = {"image": "fashion-pipeline:golden"} | cluster
    compile_pipeline(path, name, Cluster(**cluster), arguments | {"code_version": "golden"})
    return path


if __name__ == "__main__":
    for each in get_args(PipelineName):
        print(write(Path(__file__).parent, each))
