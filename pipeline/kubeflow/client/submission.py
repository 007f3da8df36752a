"""A submission: the checked arguments and the compiled pipeline, made before KFP is asked for anything."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.git import git_version
from pipeline.kubeflow.definition.arguments import check_remote, pipeline_arguments
from pipeline.kubeflow.definition.compiler import PipelineName, compile_pipeline
from pipeline.kubeflow.definition.resources import Cluster
from pipeline.params import load


@dataclass(frozen=True)
class Submission:
    """A pipeline that is ready to be submitted.

    Args:
        package: The compiled pipeline.
        form: Its arguments.
        pipeline: `train` or `sweep`.
        title: What it does, in words.
    """

    package: Path
    form: dict[str, Any]
    pipeline: str
    title: str


@contextmanager
def prepare(
    root: Path, cluster: Cluster, params: Sequence[str], candidates: Sequence[str]
) -> Iterator[Submission]:
    """Checks the parameters and compiles the pipeline, into a folder that is gone afterwards.

    Args:
        root: The project.
        cluster: What to ask of the cluster.
        params: `NAME=VALUE` of the form or of `params.yaml`.
        candidates: Of a sweep.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    form = pipeline_arguments(root, load(root / "params.yaml"), params, candidates)
    check_remote(form["remote"])
    pipeline: PipelineName = "sweep" if candidates else "train"
    what = f"sweep of {len(candidates)}" if candidates else str(form["model"])
    commit = git_version().get("mlflow.source.git.commit", "")[:7]
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "pipeline.yaml"
        compile_pipeline(package, pipeline, cluster, form)
        yield Submission(package, form, pipeline, " ".join(filter(None, (what, commit))))


def dated(title: str) -> str:
    """A title with the time of day, so that no two runs are called the same."""
    return f"{title} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
