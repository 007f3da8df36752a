"""The parameters as KFP's form shows them: typed scalars for what people change, one JSON for the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.common.errors import ParameterError
from components.common.files import source_digest
from pipeline.params import Params, parse
from pipeline.steps import SECTIONS
from pipeline.store import CODE_ROOT

SCALARS = {
    "model": "model.name",
    "epochs": "train.epochs",
    "seed": "train.seed",
    "accuracy_min": "gate.accuracy_min",
    "accuracy_lower_min": "gate.accuracy_lower_min",
    "worst_recall_min": "gate.worst_recall_min",
    "calibration_error_max": "gate.calibration_error_max",
    "model_megabytes_max": "gate.model_megabytes_max",
    "experiment": "tracking.experiment",
}
"""The parameters that have a field of their own."""
EMPTY = {"epochs": 0} | dict.fromkeys(
    ("accuracy_lower_min", "worst_recall_min", "calibration_error_max", "model_megabytes_max"), -1.0
)
"""What a field holds for null in `params.yaml`: KFP's form has no empty number."""


def code_version() -> str:
    """The version of all code that a step may run: a digest of its sources."""
    return source_digest(CODE_ROOT / "components", CODE_ROOT / "pipeline")


def form_values(
    root: Path, params: Params, assignments: Sequence[str] = (), candidates: Sequence[str] = ()
) -> dict[str, Any]:
    """The pipeline's arguments.

    Args:
        root: The project, whose `data.dvc` and DVC remote are the defaults.
        params: The project's parameters.
        assignments: `NAME=VALUE`, for a field of the form or a parameter such as `train.epochs`.
        candidates: Of a sweep, each one or more assignments with spaces between.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    own = dict.fromkeys(("data_version", "remote"), "")
    own |= {name: value for name, _, value in (a.partition("=") for a in assignments) if name in own}
    params = override(params, [a for a in assignments if a.partition("=")[0] not in own])
    for candidate in candidates:
        override(params, candidate.split())
    rest = params.model_dump(by_alias=True)
    fields = {}
    for field, name in SCALARS.items():
        section, _, key = name.partition(".")
        value = rest[section].pop(key)
        fields[field] = EMPTY[field] if value is None else value
    values = {
        "data_version": own["data_version"] or _data_version(root),
        "remote": own["remote"] or default_remote(root),
        "code_version": code_version(),
        **fields,
        "params": json.dumps({name: section for name, section in rest.items() if section}),
    }
    return values | {"candidates": list(candidates)} if candidates else values


def from_form(fields: Mapping[str, Any], params: str) -> Params:
    """The checked parameters that a form holds.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    try:
        content = json.loads(params)
    except ValueError as error:
        raise ParameterError(f"params is not JSON: {error}", "submit by `fashion submit`") from None
    for field, name in SCALARS.items():
        section, _, key = name.partition(".")
        empty = field in EMPTY and fields[field] <= min(EMPTY[field], 0)
        content.setdefault(section, {})[key] = None if empty else fields[field]
    return parse(content, "the pipeline's parameters")


def override(params: Params, assignments: Sequence[str]) -> Params:
    """The parameters with other values.

    Args:
        params: The parameters.
        assignments: `NAME=VALUE` as in `dvc exp run -S`, with the name in the form or in `params.yaml`.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    content = params.model_dump(by_alias=True)
    _assign(content, assignments)
    return parse(content, "the parameters given")


def _assign(content: dict[str, Any], assignments: Sequence[str]) -> None:
    from ruamel.yaml import YAML

    for assignment in assignments:
        given, sign, text = assignment.partition("=")
        *path, key = SCALARS.get(given, given).split(".")
        section: Any = content
        for part in path:
            section = section.get(part) if isinstance(section, dict) else None
        if not sign or not path or not isinstance(section, dict):
            raise ParameterError(
                f"{assignment!r} sets no parameter",
                f"write NAME=VALUE; names are {', '.join(SCALARS)}, and those of `fashion params`",
            )
        section[key] = YAML(typ="safe", pure=True).load(text) if text else None


class Sections(NamedTuple):
    """The parameters of each step, as `section_json` makes them."""

    validate: str
    train: str
    evaluate: str
    gate: str
    register: str


def sections(fields: Mapping[str, Any], params: str, candidates: Sequence[str] = ()) -> Sections:
    """Checks a form, and divides it among the steps.

    Raises:
        ParameterError: A name, type or range is wrong, in the form or in a sweep's candidate.
    """
    checked = from_form(fields, params)
    for candidate in candidates:
        override(checked, candidate.split())
    return Sections(**{step: section_json(checked, step) for step in Sections._fields})


def section_json(params: Params, step: str) -> str:
    """What a step needs to know, and nothing else: KFP's cache compares this text."""
    content = params.model_dump(by_alias=True)
    return json.dumps({name: content[name] for name in SECTIONS[step]}, sort_keys=True)


def trainings(text: str, candidates: Sequence[str]) -> list[str]:
    """The train step's parameters for each candidate of a sweep.

    Args:
        text: The train step's parameters, as `section_json` made them.
        candidates: Each one or more assignments with spaces between.
    """
    made = []
    for candidate in candidates:
        content = json.loads(text)
        _assign(content, candidate.split())
        made.append(json.dumps(content | {"candidate": candidate}, sort_keys=True))
    return made


def from_sections(text: str) -> tuple[Params, str]:
    """The checked parameters of a step, and of a sweep's training its candidate.

    Reading a section that is not in the text is an error.
    """
    content = json.loads(text)
    candidate = content.pop("candidate", "")
    fields = {field.alias or name: (name, field) for name, field in Params.model_fields.items()}
    sections = {}
    for name, section in content.items():
        attribute, field = fields[name]
        sections[attribute] = field.annotation.model_validate(section)  # type: ignore[union-attr]
    return Params.model_construct(**sections), candidate


def _data_version(root: Path) -> str:
    from pipeline.dataset import manifest

    return manifest(root).version


def default_remote(root: Path) -> str:
    """The URL of DVC's default remote, or an empty text where there is none."""
    from dvc.config import Config

    config = Config(dvc_dir=str(root / ".dvc"))
    name = config["core"].get("remote")
    return str(config["remote"][name]["url"]) if name else ""
