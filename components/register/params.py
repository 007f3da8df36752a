"""The sections `register` and `card` of `params.yaml`."""

from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from components.common.params import Section

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class RegisterParams(Section):
    """The model registry."""

    model_name: str = Field(
        pattern=r"^[\w.-]+$", description="registered model's name", examples=["fashion-mnist"]
    )

    @field_validator("model_name")
    @classmethod
    def _no_history(cls, name: str) -> str:
        if name.endswith(".history"):
            raise ValueError("names that end with .history are those of histories")
        return name


class CardParams(Section):
    """What no step can measure, but the model card of each version says."""

    intended_use: Text = Field(
        description="what the model is for", examples=["names the garment on a 28x28 gray image"]
    )
    limits: Text = Field(description="what it is not for", examples=["not for photographs"])
    data_source: Text = Field(
        description="where the data comes from", examples=["https://github.com/zalandoresearch/fashion-mnist"]
    )
    data_licence: Text = Field(
        description="licence of the data, and of whom", examples=["MIT, Zalando Research"]
    )
    data_faults: Text = Field(
        description="known faults of the data", examples=["at least 64 images are mislabelled or badly cut"]
    )
