"""The base class of the sections of `params.yaml`, and the section `data`, which several steps read."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Severity = Annotated[
    Literal["critical", "warning"],
    Field(description="critical stops the pipeline, warning is reported", examples=["critical"]),
]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A section of `params.yaml`: unknown names and conversions of types are errors; read-only."""

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
