"""A submission: the checked arguments and the compiled pipeline, before KFP is asked for anything."""

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
        arguments: Its arguments.
        pipeline: `train` or `sweep`.
        title: What it trains, and the commit.
    """

    package: Path
    arguments: dict[str, Any]
    pipeline: str
    title: str


@contextmanager
def prepare(
    root: Path, cluster: Cluster, params: Sequence[str], candidates: Sequence[str]
) -> Iterator[Submission]:
    """Checks the arguments and compiles the pipeline, into a folder that is removed afterwards.

    Args:
        root: The project.
        cluster: Image and resources.
        params: `NAME=VALUE` of an argument or of `params.yaml`.
        candidates: Of a sweep.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    arguments = pipeline_arguments(root, load(root / "params.yaml"), params, candidates)
    check_remote(arguments["remote"])
    pipeline: PipelineName = "sweep" if candidates else "train"
    trained = f"sweep of {len(candidates)}" if candidates else str(arguments["model"])
    commit = git_version().get("mlflow.source.git.commit", "")[:7]
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "pipeline.yaml"
        compile_pipeline(package, pipeline, cluster, arguments)
        yield Submission(package, arguments, pipeline, f"{trained} {commit}".strip())


def dated(title: str) -> str:
    """A title with date and time, so that no two runs have the same name."""
    return f"{title} {datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
