"""The arguments of the pipeline, which KFP's UI shows before a run: their defaults come from the project."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import DataError, ParameterError, first_line
from components.ingest.s3 import VERSION
from components.predict.shards import shard_names
from pipeline.data.dataset import manifest
from pipeline.kubeflow.runtime.step_parameters import (
    EMPTY,
    SCALARS,
    check_candidates,
    code_version,
    override,
)
from pipeline.params import Params

BUCKET_URL = r"s3://[A-Za-z0-9._-]+(/.*)?"
"""The regular expression of what pods can read: a bucket, or a prefix in it."""


def pipeline_arguments(
    root: Path, params: Params, assignments: Sequence[str] = (), candidates: Sequence[str] = ()
) -> dict[str, Any]:
    """The arguments of the train pipeline, or with candidates of the sweep pipeline.

    Args:
        root: The project, whose `data.dvc` and DVC remote are the defaults.
        params: The project's parameters.
        assignments: `NAME=VALUE`; NAME is a pipeline argument or a parameter such as `train.epochs`.
        candidates: Each one or more assignments with spaces between.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    data, others = {"data_version": "", "remote": ""}, []
    for assignment in assignments:
        name, sign, value = assignment.partition("=")
        if sign and name in data:
            data[name] = value
        else:
            others.append(assignment)
    params = override(params, others)
    check_candidates(params, candidates)
    rest = params.model_dump(by_alias=True)
    values = {}
    for argument, name in SCALARS.items():
        section, _, key = name.partition(".")
        value = rest[section].pop(key)
        values[argument] = EMPTY[argument] if value is None else value
    version = data["data_version"] or manifest(root).version
    if not VERSION.fullmatch(version):
        raise ParameterError(
            f"{version!r} is not a data version", "take it from data.dvc: 32 hex digits and .dir"
        )
    arguments = {
        "data_version": version,
        "remote": data["remote"] or default_remote(root),
        "code_version": code_version(),
        **values,
        "params": json.dumps({name: section for name, section in rest.items() if section}),
    }
    return arguments | {"candidates": list(candidates)} if candidates else arguments


BATCH_SECTIONS = ("data", "register", "predict")
"""The sections of `params.yaml` that a batch needs."""


@dataclass(frozen=True)
class Batch:
    """A batch of pictures: where they are, where the predictions go, and the number of shards."""

    images: str
    predictions: str
    shards: int

    def __post_init__(self) -> None:
        """Checks it.

        Raises:
            ParameterError: A URL has another form, one lies inside the other, or the number is out of range.
        """
        for url in (self.images, self.predictions):
            if not re.fullmatch(BUCKET_URL, url):
                raise ParameterError(f"{url!r} is not s3://BUCKET/PREFIX", "for example s3://shop/images/")
        images, predictions = (
            re.sub("^(s3://[^/]+)/+", r"\1/", url).rstrip("/") + "/"
            for url in (self.images, self.predictions)
        )  # as `open_storage` takes them
        if images.startswith(predictions) or predictions.startswith(images):
            raise ParameterError(
                f"of {images} and {predictions}, one lies inside the other",
                "the predictions need a prefix of their own: --to s3://BUCKET/PREFIX",
            )
        shard_names(self.shards)


def batch_arguments(params: Params, batch: Batch, assignments: Sequence[str] = ()) -> dict[str, Any]:
    """The arguments of the batch pipeline.

    Args:
        params: The project's parameters.
        batch: The batch.
        assignments: `NAME=VALUE`; NAME is a parameter of `BATCH_SECTIONS`.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    for assignment in assignments:
        if not assignment.startswith(tuple(f"{section}." for section in BATCH_SECTIONS)):
            raise ParameterError(
                f"{assignment!r} has no effect on a batch",
                f"it reads {', '.join(BATCH_SECTIONS)} of params.yaml: --param predict.not_sure_below=0.6",
            )
    content = override(params, assignments).model_dump(by_alias=True)
    return {
        "images": batch.images,
        "predictions": batch.predictions,
        "shards": shard_names(batch.shards),
        "code_version": code_version(),
        "params": json.dumps({name: content[name] for name in BATCH_SECTIONS}),
    }


def check_remote(remote: str) -> None:
    """Refuses a DVC remote that pods cannot read.

    Raises:
        ParameterError: The remote is not in S3, or there is none.
    """
    if not re.fullmatch(BUCKET_URL, remote):
        raise ParameterError(
            f"pods cannot read the DVC remote {remote}" if remote else "DVC has no default remote",
            "`dvc remote add --default storage s3://BUCKET/PREFIX` and `fashion data push`; or --param remote=s3://…",
        )


def default_remote(root: Path) -> str:
    """The URL of DVC's default remote, or "" where there is none.

    Raises:
        DataError: DVC's configuration is broken.
    """
    from dvc.config import Config
    from dvc.exceptions import DvcException

    try:
        config = Config(dvc_dir=str(root / ".dvc"))
        name = config["core"].get("remote")
        return str(config["remote"][name]["url"]) if name else ""
    except KeyError:
        raise DataError(f"DVC's default remote {name!r} is not configured", "`dvc remote list`") from None
    except DvcException as error:
        raise DataError(
            f"DVC's configuration cannot be read: {first_line(error)}", "correct .dvc/config"
        ) from None
