"""The steps of the batch pipeline, in a pod or in the local runner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import counted
from components.common.files import read_json, write_json
from components.common.storage import open_storage
from components.predict.batch import Plan, plan_batch, predict_shard
from components.predict.shards import parse_shard
from components.predict.summary import finish_batch
from components.registry.model import LoadedModel, champion_version
from pipeline.kubeflow.runtime.entrypoint import check_tracking_server, status_kept
from pipeline.kubeflow.runtime.step_parameters import params_from_json
from pipeline.registry.champion import load_champion
from pipeline.registry.versions import open_registry

if TYPE_CHECKING:
    from kfp import dsl


def prepare(code: str, params: str, images: str, predictions: str, plan: dsl.Artifact) -> None:
    """Decides which version predicts, and lists the pictures.

    Args:
        code: Version of the code that the pipeline run was submitted for.
        params: Sections `BATCH_SECTIONS` of `params.yaml`, JSON.
        images: Where the pictures are, s3://BUCKET/PREFIX.
        predictions: Where the predictions go.
        plan: Receives the plan.
    """
    checked, _ = params_from_json(params)
    with status_kept("prepare", code) as lines:
        check_tracking_server()
        champion = champion_version(open_registry(Path.cwd(), checked.register_.model_name))
        made = plan_batch(champion, open_storage(images), open_storage(predictions))
        write_json(Path(plan.path), asdict(made))
        plan.metadata |= asdict(made)
        lines.append(f"{counted(made.pictures, 'picture')} for {made.model} version {made.version}")


def predict(code: str, params: str, images: str, predictions: str, plan: dsl.Artifact, shard: str) -> str:
    """Predicts a shard; returns the name of its file."""
    checked, _ = params_from_json(params)
    with status_kept(f"predict {shard}", code) as lines:
        check_tracking_server()
        made, stores = _read(plan), (open_storage(images), open_storage(predictions))

        def load() -> LoadedModel:
            return load_champion(Path.cwd(), checked, made.version)

        part = predict_shard(made, parse_shard(shard), *stores, load)
        lines.append(part.line)
    return part.name


def report(
    code: str, params: str, predictions: str, plan: dsl.Artifact, parts: Sequence[str], trend: dsl.HTML
) -> None:
    """Writes the summary, and the trend of the pictures as a report."""
    checked, _ = params_from_json(params)
    with status_kept("report", code) as lines:
        target, below = open_storage(predictions), checked.predict.not_sure_below
        lines.append(finish_batch(_read(plan), target, parts, checked.data.classes, below, Path(trend.path)))


def _read(plan: dsl.Artifact) -> Plan:
    return Plan(**read_json(Path(plan.path), "prepare"))
