"""The steps of the batch pipeline, in a pod or in the local runner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from components.common.errors import counted
from components.common.storage import open_storage
from components.predict.batch import Plan, plan_batch, predict_shard
from components.predict.shards import parse_shard
from components.predict.summary import finish_batch
from components.registry.model import LoadedModel, champion_version
from pipeline.kubeflow.runtime.entrypoint import check_tracking_server, status_kept
from pipeline.kubeflow.runtime.step_parameters import params_from_json
from pipeline.registry.champion import load_champion
from pipeline.registry.versions import open_registry


def prepare(code: str, params: str, images: str, predictions: str) -> str:
    """Decides which version predicts, and lists the pictures.

    Args:
        code: Version of the code that the pipeline run was submitted for.
        params: Sections `BATCH_SECTIONS` of `params.yaml`, JSON.
        images: Where the pictures are, s3://BUCKET/PREFIX.
        predictions: Where the predictions go.

    Returns:
        The plan, JSON.
    """
    checked, _ = params_from_json(params)
    with status_kept("prepare", code) as lines:
        check_tracking_server()
        champion = champion_version(open_registry(Path.cwd(), checked.register_.model_name))
        plan = plan_batch(champion, open_storage(images), open_storage(predictions))
        lines.append(f"{counted(plan.pictures, 'picture')} for {plan.model} version {plan.version}")
    return plan.to_json()


def predict(code: str, params: str, images: str, predictions: str, plan: str, shard: str) -> str:
    """Predicts a shard; returns the name of its file."""
    checked, _ = params_from_json(params)
    with status_kept(f"predict {shard}", code) as lines:
        check_tracking_server()
        plan_ = Plan.from_json(plan)

        def load() -> LoadedModel:
            return load_champion(Path.cwd(), checked, plan_.version)

        stores = open_storage(images), open_storage(predictions)
        part = predict_shard(plan_, parse_shard(shard), *stores, load)
        lines.append(part.line)
    return part.name


def report(code: str, params: str, predictions: str, plan: str, parts: Sequence[str], html: Path) -> None:
    """Writes the summary, and the trend of the pictures as a report."""
    checked, _ = params_from_json(params)
    with status_kept("report", code) as lines:
        target, below = open_storage(predictions), checked.predict.not_sure_below
        plan_ = Plan.from_json(plan)
        lines.append(finish_batch(plan_, target, parts, checked.data.classes, below, html))
