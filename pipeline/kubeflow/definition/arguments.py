"""The arguments of the pipeline, which KFP's UI shows before a run: their defaults come from the project."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.common.errors import DataError, ParameterError, first_line
from components.ingest.s3 import VERSION
from pipeline.data.dataset import manifest
from pipeline.kubeflow.runtime.step_parameters import (
    EMPTY,
    SCALARS,
    check_candidates,
    code_version,
    override,
)
from pipeline.params import Params


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


def check_remote(remote: str) -> None:
    """Refuses a DVC remote that pods cannot read.

    Raises:
        ParameterError: The remote is not in S3, or there is none.
    """
    if not re.fullmatch(r"s3://[A-Za-z0-9._-]+(/.*)?", remote):
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
