"""Reads the parameters from the pipeline's arguments, checks them, and divides them among the steps.

What people change often is an argument of its own; the rest of `params.yaml` is one argument, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from components.common.errors import ParameterError
from components.common.files import source_digest
from pipeline.git import CODE_ROOT
from pipeline.params import Params, parse
from pipeline.steps import SECTIONS

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
"""The pipeline arguments that hold one parameter of `params.yaml` each."""
EMPTY = {"epochs": 0} | dict.fromkeys(
    ("accuracy_lower_min", "worst_recall_min", "calibration_error_max", "model_megabytes_max"), -1.0
)
"""The value of a pipeline argument that stands for null: a number in KFP cannot be left empty."""
COMMON = ("train.seed", "train.validation_images")
"""Parameters that no candidate of a sweep may set: they choose the images on which all are compared."""


def code_version() -> str:
    """The version of all code that a step may run: a digest of its sources."""
    return source_digest(CODE_ROOT / "components", CODE_ROOT / "pipeline")


def params_from_arguments(arguments: Mapping[str, Any]) -> Params:
    """The checked parameters that the pipeline's arguments hold.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    try:
        content = json.loads(arguments["params"])
    except ValueError as error:
        raise ParameterError(f"params is not JSON: {error}", "submit by `fashion submit`") from None
    for argument, name in SCALARS.items():
        section, _, key = name.partition(".")
        content.setdefault(section, {})[key] = _decode_null(argument, arguments[argument])
    return parse(content, "the pipeline's parameters")


def check_candidates(params: Params, candidates: Sequence[str]) -> None:
    """Refuses candidates of a sweep that cannot be compared by their validation accuracy.

    Raises:
        ParameterError: One sets nothing, the same as another, or something else than model and training.
    """
    trained: dict[str, str] = {}
    for candidate in candidates:
        arguments = [assignment.partition("=")[0] for assignment in candidate.split()]
        names = [SCALARS.get(argument, argument) for argument in arguments]
        refused = [n for n in names if n in COMMON or not n.startswith(("model.", "train."))]
        if refused or not names:
            raise ParameterError(
                f"the candidate {candidate!r} sets {', '.join(refused) or 'nothing'}",
                "a candidate sets names of `model` and `train` in params.yaml, except "
                f"{' and '.join(COMMON)}: all candidates are compared on the same images",
            )
        if len(set(names)) < len(names):
            raise ParameterError(f"the candidate {candidate!r} sets a name twice", "give each once")
        changed = override(params, candidate.split())
        content = repr((changed.model, changed.settings))
        if content in trained:
            raise ParameterError(
                f"the candidates {trained[content]!r} and {candidate!r} train the same", "give one of them"
            )
        trained[content] = candidate


def override(params: Params, assignments: Sequence[str]) -> Params:
    """The parameters after assignments `NAME=VALUE`; NAME is a pipeline argument or a parameter.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    content = params.model_dump(by_alias=True)
    _assign(content, assignments)
    return parse(content, "the parameters given")


def _assign(content: dict[str, Any], assignments: Sequence[str]) -> None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        *path, key = SCALARS.get(name, name).split(".")
        section: Any = content
        for part in path:
            section = section.get(part) if isinstance(section, dict) else None
        if not sign or not path or not isinstance(section, dict):
            raise ParameterError(
                f"{assignment!r} sets no parameter",
                f"write NAME=VALUE; names are {', '.join(SCALARS)}, and those of `fashion params`",
            )
        try:
            value = YAML(typ="safe", pure=True).load(text) if text else None
        except YAMLError:
            raise ParameterError(
                f"the value in {assignment!r} is not YAML", "write NAME=VALUE as in params.yaml"
            ) from None
        section[key] = _decode_null(name, value)


def _decode_null(argument: str, value: Any) -> Any:
    return None if argument in EMPTY and value == EMPTY[argument] else value


class StepParameters(NamedTuple):
    """The parameters of each step, as JSON."""

    validate: str
    train: str
    evaluate: str
    gate: str
    register: str


def step_parameters(arguments: Mapping[str, Any]) -> StepParameters:
    """Checks the pipeline's arguments, and divides the parameters among the steps.

    A step gets the sections that it reads, and no others: KFP's cache compares this text.

    Raises:
        ParameterError: A name, type or range is wrong, in an argument or in a sweep's candidate.
    """
    params = params_from_arguments(arguments)
    check_candidates(params, arguments.get("candidates", ()))
    content = params.model_dump(by_alias=True)
    return StepParameters(
        **{
            step: json.dumps({name: content[name] for name in SECTIONS[step]}, sort_keys=True)
            for step in StepParameters._fields
        }
    )


def candidate_parameters(train_params: str, candidates: Sequence[str]) -> list[str]:
    """The train step's parameters (JSON) for each candidate of a sweep: `NAME=VALUE NAME=VALUE ...`."""
    trainings = []
    for candidate in candidates:
        content = json.loads(train_params)
        _assign(content, candidate.split())
        trainings.append(json.dumps(content | {"candidate": candidate}, sort_keys=True))
    return trainings


def params_from_json(text: str) -> tuple[Params, str]:
    """A step's checked parameters, and its candidate if it is a training of a sweep, else "".

    The parameters have only the sections that are in the text; reading another is an `AttributeError`.
    """
    content = json.loads(text)
    candidate = content.pop("candidate", "")
    fields = {field.alias or name: (name, field) for name, field in Params.model_fields.items()}
    sections = {}
    for name, section in content.items():
        attribute, field = fields[name]
        sections[attribute] = field.annotation.model_validate(section)  # type: ignore[union-attr]
    return Params.model_construct(**sections), candidate
