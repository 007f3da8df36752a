"""The pipeline's arguments turned back into parameters: checked, and divided among the steps.

What people change often is an argument of its own; the others are in the argument `params`, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from components.common.errors import ParameterError
from components.common.files import source_digest
from components.train.params import settings_of
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
"""The parameters that are arguments of their own, by the argument's name."""
COMMON = ("train.seed", "train.validation_images")
"""What a sweep's candidates must not change: it chooses the images on which they are compared."""
EMPTY = {"epochs": 0} | dict.fromkeys(
    ("accuracy_lower_min", "worst_recall_min", "calibration_error_max", "model_megabytes_max"), -1.0
)
"""The arguments that stand for null in `params.yaml`: a number in KFP cannot be empty."""


def code_version() -> str:
    """The version of all code that a step may run: a digest of its sources."""
    return source_digest(CODE_ROOT / "components", CODE_ROOT / "pipeline")


def params_from_arguments(scalars: Mapping[str, Any], params: str) -> Params:
    """The parameters, checked, from the pipeline's arguments.

    Args:
        scalars: The arguments named in `SCALARS`.
        params: The other parameters, as JSON.

    Raises:
        ParameterError: A name, type or range is wrong.
    """
    try:
        content = json.loads(params)
    except ValueError as error:
        raise ParameterError(f"params is not JSON: {error}", "submit by `fashion submit`") from None
    for argument, name in SCALARS.items():
        section, _, key = name.partition(".")
        value = scalars[argument]
        content.setdefault(section, {})[key] = None if value == EMPTY.get(argument) else value
    return parse(content, "the pipeline's parameters")


def check_candidates(params: Params, candidates: Sequence[str]) -> None:
    """Refuses candidates that cannot be compared by their validation accuracy.

    Raises:
        ParameterError: A candidate sets nothing, the same as another, or more than model and training.
    """
    trained: dict[str, str] = {}
    for candidate in candidates:
        names = [SCALARS.get(name, name) for name, _, _ in (a.partition("=") for a in candidate.split())]
        forbidden = [name for name in names if name in COMMON or not name.startswith(("model.", "train."))]
        if forbidden or not names:
            raise ParameterError(
                f"the candidate {candidate!r} sets {', '.join(forbidden) or 'nothing'}",
                "a candidate sets names of `model` and `train` in params.yaml, without "
                f"{' and '.join(COMMON)}, which say on what candidates are compared",
            )
        if len(set(names)) < len(names):
            raise ParameterError(f"the candidate {candidate!r} sets a name twice", "give each once")
        own = override(params, candidate.split())
        training = repr((own.model, settings_of(own.model, own.train)))
        if training in trained:
            raise ParameterError(
                f"the candidates {trained[training]!r} and {candidate!r} train the same", "give one of them"
            )
        trained[training] = candidate


def override(params: Params, assignments: Sequence[str]) -> Params:
    """The parameters with other values.

    Args:
        params: The parameters.
        assignments: `NAME=VALUE` as in `dvc exp run -S`; NAME is an argument or a name in `params.yaml`.

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
        argument, sign, text = assignment.partition("=")
        *path, key = SCALARS.get(argument, argument).split(".")
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
                f"{assignment!r} holds no value", "write NAME=VALUE as in params.yaml"
            ) from None
        section[key] = None if value == EMPTY.get(argument) else value


class StepParameters(NamedTuple):
    """The parameters of each step, as JSON."""

    validate: str
    train: str
    evaluate: str
    gate: str
    register: str


def step_parameters(
    scalars: Mapping[str, Any], params: str, candidates: Sequence[str] = ()
) -> StepParameters:
    """Checks the pipeline's arguments, and divides them among the steps.

    Raises:
        ParameterError: A name, type or range is wrong, in an argument or in a sweep's candidate.
    """
    checked = params_from_arguments(scalars, params)
    check_candidates(checked, candidates)
    return StepParameters(**{step: step_json(checked, step) for step in StepParameters._fields})


def step_json(params: Params, step: str) -> str:
    """The sections that a step reads, and no others: KFP's cache compares this text."""
    content = params.model_dump(by_alias=True)
    return json.dumps({name: content[name] for name in SECTIONS[step]}, sort_keys=True)


def candidate_parameters(train: str, candidates: Sequence[str]) -> list[str]:
    """The train step's parameters for each candidate of a sweep, as JSON.

    Args:
        train: The train step's parameters, from `step_json`.
        candidates: Each one or more assignments, separated by spaces.
    """
    texts = []
    for candidate in candidates:
        content = json.loads(train)
        _assign(content, candidate.split())
        texts.append(json.dumps(content | {"candidate": candidate}, sort_keys=True))
    return texts


def params_from_json(text: str) -> tuple[Params, str]:
    """The parameters of a step, checked, and its candidate in a sweep. It has only the sections it reads."""
    content = json.loads(text)
    candidate = content.pop("candidate", "")
    fields = {field.alias or name: (name, field) for name, field in Params.model_fields.items()}
    sections = {}
    for name, section in content.items():
        attribute, field = fields[name]
        sections[attribute] = field.annotation.model_validate(section)  # type: ignore[union-attr]
    return Params.model_construct(**sections), candidate
