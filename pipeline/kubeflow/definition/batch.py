"""The pipeline `batch`: the champion predicts pictures in shards, a pod for each."""

# KFP reads the annotations (so they are no strings), and knows typing.List, not list.
from typing import Any, List

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Output

from pipeline.kubeflow.definition.components import component
from pipeline.kubeflow.definition.pipelines import configure_heavy_pod, configure_pod, docstring
from pipeline.kubeflow.definition.resources import Cluster

DESCRIPTIONS = {
    "images": "The pictures, s3://BUCKET/PREFIX.",
    "predictions": "Where the predictions go, s3://BUCKET/PREFIX.",
    "shards": 'The shards, "1/2" and "2/2": a pod and a Parquet file for each.',
    "code_version": "The code in the image, by a digest; a step refuses to run any other.",
    "params": "The sections of params.yaml that a batch needs, as JSON.",
}


# The plan is an artifact: in KFP's local runner, a text of another step would become the loop's item.


@component
def prepare(code_version: str, params: str, images: str, predictions: str, plan: Output[Artifact]) -> None:
    """Decides which version predicts, and lists the pictures."""
    from pipeline.kubeflow.runtime import batch

    batch.prepare(code_version, params, images, predictions, plan)


@component
def predict(
    code_version: str, params: str, images: str, predictions: str, plan: Input[Artifact], shard: str
) -> str:
    """Predicts the pictures of a shard, unless its file is there; returns the file's name."""
    from pipeline.kubeflow.runtime import batch

    return batch.predict(code_version, params, images, predictions, plan, shard)


@component
def report(
    code_version: str,
    params: str,
    predictions: str,
    plan: Input[Artifact],
    parts: List[str],
    trend: Output[HTML],
) -> None:
    """Writes the summary, and the trend of the pictures."""
    from pipeline.kubeflow.runtime import batch

    batch.report(code_version, params, predictions, plan, parts, trend)


def batch_pipeline(cluster: Cluster) -> Any:
    """Prepare, predict each shard, and report."""

    def fashion_mnist_batch(
        images: str, predictions: str, shards: List[str], code_version: str, params: str
    ) -> None:
        common = {"code_version": code_version, "params": params, "predictions": predictions}

        # No step comes from KFP's cache: the bucket or the champion may have changed since.
        def add(step: Any, **inputs: Any) -> Any:
            return configure_pod(step(**common, **inputs), cluster, cached=False)

        plan = add(prepare, images=images).outputs["plan"]
        with dsl.ParallelFor(shards, name="shards", parallelism=cluster.parallelism or None) as shard:
            part = add(predict, images=images, plan=plan, shard=shard)
            configure_heavy_pod(part, cluster)
        add(report, plan=plan, parts=dsl.Collected(part.output))

    fashion_mnist_batch.__doc__ = docstring(DESCRIPTIONS)
    return dsl.pipeline(
        fashion_mnist_batch,
        name="fashion-mnist-batch",
        description="Pictures in a bucket, predicted by the champion into Parquet files",
    )
