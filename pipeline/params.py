"""The parameters of the pipeline: `params.yaml`, checked by pydantic.

All names must be in the file. Where a value under `train` is empty, the setting of the model zoo applies;
`training.json` contains all settings of a training.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.common.errors import ParameterError
from components.common.params import DataParams, Section
from components.evaluate.params import EvaluateParams
from components.gate.params import GateParams
from components.predict.params import PredictParams
from components.register.params import CardParams, RegisterParams
from components.train.params import ModelParams, TrainParams, settings_of
from components.train.settings import Settings
from components.train.zoo import MODELS
from components.validate.params import ValidateParams


class TrackingParams(Section):
    """The recording of runs. The address of the server is in MLFLOW_TRACKING_URI, not here."""

    experiment: str = Field(min_length=1, description="MLflow experiment's name", examples=["fashion-mnist"])


class Params(Section):
    """All of `params.yaml`."""

    data: DataParams = Field(description="shape and statistics of the data set")
    validate_: ValidateParams = Field(alias="validate", description="expectations on the data")
    model: ModelParams = Field(description="the network")
    train: TrainParams = Field(description="how the network is trained")
    evaluate: EvaluateParams = Field(description="how the model is measured")
    gate: GateParams = Field(description="rules of promotion")
    register_: RegisterParams = Field(alias="register", description="the model registry")
    card: CardParams = Field(description="what the model card says of model and data, beside measurements")
    predict: PredictParams = Field(description="what `fashion predict` and the app show")
    tracking: TrackingParams = Field(description="where runs are recorded")

    @property
    def settings(self) -> Settings:
        """The settings of the training: the model's own, overridden by those under `train`."""
        return settings_of(self.model, self.train)

    @model_validator(mode="after")
    def _muon_and_proxy_fit(self) -> "Params":
        model, settings = MODELS[self.model.name], self.settings
        own = model.settings
        if settings.proxy == 1:
            raise ValueError("train.proxy: 1 picks every image; write 0 for none, or 2 for the harder half")
        if not model.prepare and (settings.optimizer == "muon" or settings.proxy):
            raise ValueError(f"muon and train.proxy are for the resnet models, not for {self.model.name}")
        if (settings.optimizer == "muon") != (own.optimizer == "muon") and self.train.learning_rate is None:
            raise ValueError(
                f"the learning rate of {self.model.name}, {own.learning_rate}, is for {own.optimizer}: with "
                f"{settings.optimizer} set train.learning_rate; usual are 0.02 for muon, 0.4 for nesterov"
            )
        return self

    @model_validator(mode="after")
    def _settings_take_effect(self) -> "Params":
        settings = self.settings
        ignored = {
            "momentum": settings.optimizer == "adam" and "with the optimizer adam",
            "warmup": settings.schedule == "constant" and "with a constant schedule",
            "l2": not MODELS[self.model.name].settings.l2
            and f"on {self.model.name}, which has no weight decay",
        }
        for name, where in ignored.items():
            if where and getattr(self.train, name):
                raise ValueError(f"train.{name} does nothing {where}: leave it empty")
        if settings.optimizer in ("nesterov", "muon") and not settings.momentum:
            raise ValueError(f"the optimizer {settings.optimizer} needs train.momentum, for example 0.9")
        return self

    @model_validator(mode="after")
    def _validation_fits(self) -> "Params":
        left = self.data.train_images - self.train.validation_images
        classes = len(self.data.classes)
        batch = self.settings.images_per_step
        if self.train.validation_images < classes or left < batch:
            raise ValueError(
                f"train.validation_images must be at least the number of classes, {classes}, and leave "
                f"the images of a step ({batch}) of data.train_images ({self.data.train_images})"
            )
        return self


def load(path: Path) -> Params:
    """Reads and checks `params.yaml`.

    Raises:
        ParameterError: The file is missing or not YAML, or a name, type or range is wrong. The message has a
            line for each error, with what to write instead.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(
            f"{path} is missing", "run this in the project's folder, or `git checkout params.yaml`"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"{path} is not valid YAML: {reason}", "correct that line") from None
    return parse(content, path.name)


def parse(content: Any, origin: str) -> Params:
    """Checks the content of a parameter file; `origin` is its name in the error message."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        lines = [_explain(detail) for detail in error.errors()]
        raise ParameterError(
            f"{origin}: " + "\n  ".join(lines), "`fashion params` prints every name, type and range"
        ) from None


def describe() -> Iterator[tuple[str, str, str]]:
    """Name, type with range, and description of every parameter, in the order of the file."""
    yield from _describe(Params.model_json_schema(), Params.model_json_schema()["$defs"], "")


def _describe(
    schema: dict[str, Any], definitions: dict[str, Any], prefix: str
) -> Iterator[tuple[str, str, str]]:
    for name, entry in schema["properties"].items():
        target = definitions.get(entry.get("$ref", "").rpartition("/")[2])
        yield prefix + name, "" if target else _type(entry), entry.get("description", "")
        if target:
            yield from _describe(target, definitions, f"{prefix}{name}.")


_BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def _type(entry: dict[str, Any]) -> str:
    if "anyOf" in entry:
        return " or ".join(_type(option) for option in entry["anyOf"])
    if "enum" in entry:
        return " | ".join(entry["enum"])
    words = {"integer": "whole number", "string": "text", "boolean": "true | false", "array": "list"}
    bounds = [f"{sign} {entry[key]}" for key, sign in _BOUNDS.items() if key in entry]
    return " ".join([words.get(entry["type"], entry["type"]), *bounds])


def _explain(detail: ErrorDetails) -> str:
    """One line for one error: the name, the value, and what to write instead."""
    location = [str(part) for part in detail["loc"]]
    name = ".".join(location)
    known = {known: (kind, meaning) for known, kind, meaning in describe()}
    if detail["type"] == "extra_forbidden":
        close = get_close_matches(name, known, n=1, cutoff=0.5)
        return f"{name} is not a parameter" + (f"; did you mean {close[0]}?" if close else "")
    if not name:
        return detail["msg"].removeprefix("Value error, ")
    kind, meaning = known.get(name) or known.get(".".join(location[:-1]), ("", ""))
    wanted = f"write {kind or 'a section'} ({meaning})" + _example(location)
    if detail["type"] == "missing":
        return f"{name} is missing; {wanted}"
    value = repr(detail["input"])
    value = value if len(value) <= 200 else f"{value[:200]}…"
    return f"{name}: {value} is refused, {_reason(detail)}; {wanted}"


def _reason(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _example(location: list[str]) -> str:
    """`, for example 7`, from the declaration of the field; empty if it has no example."""
    section: Any = Params
    for part in location:
        fields = {(f.alias or n): f for n, f in getattr(section, "model_fields", {}).items()}
        if part not in fields:
            return ""
        field, section = fields[part], fields[part].annotation
    return f", for example {field.examples[0]}" if field.examples else ""
