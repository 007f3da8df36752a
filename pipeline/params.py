"""The parameters of the pipeline: `params.yaml`, typed, strict and documented.

Every name stands in the file and none has a default here. What is left empty under `train` is the model's
own (`components/train/models.py`); what a run was trained with is in its `training.json`, whole.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.common.errors import ParameterError
from components.train.zoo import MODEL_NAMES, MODELS, settings_of
from components.train.settings import Optimizer, PrecisionSetting, Schedule

Severity = Annotated[
    Literal["critical", "warning"],
    Field(description="critical stops the pipeline, warning is reported", examples=["critical"]),
]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of `params.yaml`: no unknown names, no silent conversions, no later changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class DataParams(Section):
    """The shape and the statistics of the data set."""

    height: int = Field(ge=8, le=512, description="image height in pixels", examples=[28])
    width: int = Field(ge=8, le=512, description="image width in pixels", examples=[28])
    train_images: int = Field(ge=2, description="images in the train files", examples=[60000])
    test_images: int = Field(ge=1, description="images in the test files", examples=[10000])
    classes: list[str] = Field(
        min_length=2, max_length=256, description="class names, in label order", examples=[["a", "b"]]
    )
    pixel_mean: Share = Field(description="mean of the train pixels / 255", examples=[0.286])
    pixel_std: float = Field(
        gt=0, le=1, description="standard deviation of the train pixels / 255", examples=[0.353]
    )

    @field_validator("classes")
    @classmethod
    def _distinct(cls, names: list[str]) -> list[str]:
        if len(set(names)) != len(names) or not all(name.strip() for name in names):
            raise ValueError("class names must be distinct and not empty")
        return names


class Rule(Section):
    """An expectation that has only a severity."""

    severity: Severity


class Between(Section):
    """An expectation on a share."""

    min: Share = Field(description="lowest accepted value", examples=[0.09])
    max: Share = Field(description="highest accepted value", examples=[0.11])
    severity: Severity

    @model_validator(mode="after")
    def _ordered(self) -> "Between":
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Near(Section):
    """An expectation on the distance from the reference in `data`."""

    tolerance: Share = Field(description="accepted distance from the reference", examples=[0.01])
    severity: Severity


class AtMost(Section):
    """An expectation on a count."""

    max: int = Field(ge=0, description="highest accepted number of images", examples=[0])
    severity: Severity


class ValidateParams(Section):
    """The expectations on the data."""

    labels: Rule = Field(description="every label has a class name")
    class_share: Between = Field(description="share of each class in its split")
    pixel_mean: Near = Field(description="mean of the pixels / 255 of a split")
    pixel_std: Near = Field(description="standard deviation of the pixels / 255 of a split")
    nonzero_share: Between = Field(description="share of non-zero pixels of a split")
    blank_images: AtMost = Field(description="images whose pixels are all equal")
    duplicates_in_train: AtMost = Field(description="copies of an earlier image in train")
    duplicates_in_test: AtMost = Field(description="copies of an earlier image in test")
    duplicates_across: AtMost = Field(description="test images that are in train too")


class ModelParams(Section):
    """The network."""

    name: str = Field(description=f"one of {', '.join(MODEL_NAMES)}", examples=[MODEL_NAMES[0]])

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in MODEL_NAMES:
            close = get_close_matches(name, MODEL_NAMES, n=1)
            raise ValueError("there is no such model" + (f"; did you mean {close[0]}?" if close else ""))
        return name


class TrainParams(Section):
    """How the network is trained. Of what is null, the model's own setting holds."""

    seed: int = Field(ge=0, lt=2**31, description="of weights, split, shuffle and augmentation", examples=[1])
    validation_images: int = Field(ge=1, description="train images held out for validation", examples=[5000])
    epochs: int | None = Field(ge=1, le=10_000, description="passes over the train images", examples=[7])
    batch_size: int | None = Field(ge=1, le=65_536, description="images per step", examples=[128])
    optimizer: Optimizer | None = Field(
        description="adam, or gradient descent with Nesterov's or plain momentum", examples=["nesterov"]
    )
    learning_rate: float | None = Field(gt=0, le=100, description="peak learning rate", examples=[0.2])
    schedule: Schedule | None = Field(
        description="constant, or triangular: a linear rise, then a linear fall to nearly 0",
        examples=["triangular"],
    )
    warmup: Share | None = Field(description="share of the steps of the triangle's rise", examples=[0.2])
    momentum: float | None = Field(ge=0, lt=1, description="of sgd and nesterov", examples=[0.9])
    l2: float | None = Field(ge=0, le=1, description="weight decay of the house's kernels", examples=[0.0005])
    label_smoothing: float | None = Field(
        ge=0, lt=1, description="share given to all classes", examples=[0.1]
    )
    flip: bool | None = Field(description="mirror each image in every other epoch", examples=[True])
    shift: int | None = Field(
        ge=0, le=64, description="move each image by up to so many pixels", examples=[2]
    )
    cutout: int | None = Field(
        ge=0, le=256, description="side in pixels of a square that is blotted out", examples=[8]
    )
    flip_average: bool | None = Field(
        description="the saved model averages over the image and its mirror image", examples=[True]
    )
    precision: PrecisionSetting | None = Field(
        description="of the activations; auto: bfloat16 where the processor has it", examples=["auto"]
    )
    xla: bool | None = Field(description="compile by XLA, for a GPU", examples=[False])


class EvaluateParams(Section):
    """How the model is measured on test."""

    calibration_bins: int = Field(ge=2, le=1000, description="bins of confidence", examples=[15])
    batch_size: int = Field(ge=1, le=65_536, description="images per prediction", examples=[500])


class GateParams(Section):
    """The rules of promotion. A rule set to null is not applied."""

    accuracy_min: Share = Field(description="lowest test accuracy", examples=[0.92])
    accuracy_lower_min: Share | None = Field(
        description="lowest lower end of the accuracy's 95 % interval", examples=[0.915]
    )
    worst_recall_min: Share | None = Field(description="lowest recall of the worst class", examples=[0.7])
    calibration_error_max: Share | None = Field(
        description="highest expected calibration error", examples=[0.1]
    )
    model_megabytes_max: float | None = Field(
        gt=0, description="largest model file in MB (10^6 bytes)", examples=[10.0]
    )


class RegisterParams(Section):
    """The model registry."""

    model_name: str = Field(
        pattern=r"^[\w.-]+$", description="registered model's name", examples=["fashion-mnist"]
    )


class TrackingParams(Section):
    """Where runs are recorded. The server is MLFLOW_TRACKING_URI's, never a parameter."""

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
    tracking: TrackingParams = Field(description="where runs are recorded")

    @model_validator(mode="after")
    def _settings_take_effect(self) -> "Params":
        settings = settings_of(self.model, self.train)
        ignored = {
            "momentum": settings.optimizer == "adam" and "with the optimizer adam",
            "warmup": settings.schedule == "constant" and "with a constant schedule",
            "l2": not MODELS[self.model.name].settings.l2
            and f"on {self.model.name}, which has no weight decay",
        }
        for name, where in ignored.items():
            if where and getattr(self.train, name):
                raise ValueError(f"train.{name} does nothing {where}: leave it empty")
        if settings.optimizer == "nesterov" and not settings.momentum:
            raise ValueError("the optimizer nesterov needs train.momentum, for example 0.9")
        return self

    @model_validator(mode="after")
    def _validation_fits(self) -> "Params":
        left = self.data.train_images - self.train.validation_images
        classes = len(self.data.classes)
        batch = settings_of(self.model, self.train).batch_size
        if self.train.validation_images < classes or left < batch:
            raise ValueError(
                f"train.validation_images must be at least the number of classes, {classes}, and leave "
                f"a batch ({batch}) of data.train_images ({self.data.train_images})"
            )
        return self


def load(path: Path) -> Params:
    """Reads and checks `params.yaml`.

    Raises:
        ParameterError: The file is missing or not YAML, or a name, type or range is wrong. The
            message has a line for each fault, with what to write instead.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(
            f"{path} is missing", "run this in the project's folder, or `git checkout params.yaml`"
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"{path} is not valid YAML: {reason}", "mend that line") from None
    return parse(content, path.name)


def parse(content: Any, origin: str) -> Params:
    """Checks parameters that are already read; `origin` names them in the error."""
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        lines = [_explain(detail) for detail in error.errors()]
        raise ParameterError(
            f"{origin}: " + "\n  ".join(lines), "`fashion params` prints every name, type and range"
        ) from None


def describe() -> Iterator[tuple[str, str, str]]:
    """Name, type with range, and meaning of every parameter, in the file's order."""
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
    """One line for one fault: the name, what stands there, and what to write instead."""
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
    return f"{name}: {detail['input']!r} is refused, {_reason(detail)}; {wanted}"


def _reason(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _example(location: list[str]) -> str:
    """`, for example 7`, from the field's own declaration; empty where it has none."""
    section: Any = Params
    for part in location:
        fields = {(f.alias or n): f for n, f in getattr(section, "model_fields", {}).items()}
        if part not in fields:
            return ""
        field, section = fields[part], fields[part].annotation
    return f", for example {field.examples[0]}" if field.examples else ""
