"""The sections `model` and `train` of `params.yaml`."""

from difflib import get_close_matches

from pydantic import Field, field_validator

from components.common.params import Section, Share
from components.train.settings import Optimizer, PrecisionSetting, Schedule, Settings
from components.train.zoo import MODEL_NAMES, MODELS, RENAMED


class ModelParams(Section):
    """The network."""

    name: str = Field(description=f"one of {', '.join(MODEL_NAMES)}", examples=[MODEL_NAMES[0]])

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name in RENAMED:
            raise ValueError(f"this model is called {RENAMED[name]} now")
        if name not in MODEL_NAMES:
            close = get_close_matches(name, MODEL_NAMES, n=1)
            raise ValueError("there is no such model" + (f"; did you mean {close[0]}?" if close else ""))
        return name


class TrainParams(Section):
    """The training. Where a value is null, the setting of the model zoo applies."""

    seed: int = Field(ge=0, lt=2**31, description="of weights, split, shuffle and augmentation", examples=[1])
    validation_images: int = Field(
        ge=1, description="train images in the held-out validation split", examples=[5000]
    )
    epochs: int | None = Field(ge=1, le=10_000, description="passes over the train images", examples=[7])
    batch_size: int | None = Field(ge=1, le=65_536, description="images per step", examples=[128])
    optimizer: Optimizer | None = Field(
        description="adam, gradient descent with Nesterov's or plain momentum, or muon for the filters",
        examples=["muon"],
    )
    learning_rate: float | None = Field(
        gt=0, le=100, description="peak learning rate; of muon, that of the filters", examples=[0.02]
    )
    schedule: Schedule | None = Field(
        description="constant, or triangular: a linear rise, then a linear fall to nearly 0",
        examples=["triangular"],
    )
    warmup: Share | None = Field(
        description="share of the steps in which the triangular rate rises", examples=[0.2]
    )
    momentum: float | None = Field(ge=0, lt=1, description="of sgd, nesterov and muon", examples=[0.9])
    l2: float | None = Field(
        ge=0,
        le=1,
        description="weight decay, of the resnet models; with muon, of the last layer",
        examples=[0.0005],
    )
    label_smoothing: float | None = Field(
        ge=0, lt=1, description="share of the label that is spread over all classes", examples=[0.1]
    )
    flip: bool | None = Field(description="mirror each image in every other epoch", examples=[True])
    shift: int | None = Field(
        ge=0, le=64, description="move each image by up to this number of pixels", examples=[2]
    )
    cutout: int | None = Field(
        ge=0, le=256, description="side in pixels of a square that is set to the mean", examples=[8]
    )
    erase: Share | None = Field(
        description="random erasing: probability that a rectangle of an image is set to noise", examples=[0.5]
    )
    proxy: int | None = Field(
        ge=0,
        le=16,
        description="draw so many times the batch, train on the part that is hardest for a small network: "
        "2 the harder half, 3 the hardest third, 0 off; for resnets",
        examples=[2],
    )
    flip_average: bool | None = Field(
        description="the saved model averages the logits of image and mirror image", examples=[True]
    )
    precision: PrecisionSetting | None = Field(
        description="of the activations; auto: bfloat16 if the processor supports it", examples=["auto"]
    )
    xla: bool | None = Field(description="compile with XLA, for a GPU", examples=[False])


def settings_of(model: ModelParams, train: TrainParams) -> Settings:
    """The settings of the model zoo, overridden by those in `params.yaml`."""
    names = Settings.__dataclass_fields__
    return MODELS[model.name].settings.override({name: getattr(train, name) for name in names})
