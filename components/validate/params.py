"""The section `validate` of `params.yaml`."""

from pydantic import Field, model_validator

from components.common.params import Section, Severity, Share


class Rule(Section):
    """An expectation without a limit."""

    severity: Severity


class Between(Section):
    """Limits of a share."""

    min: Share = Field(description="lowest accepted value", examples=[0.09])
    max: Share = Field(description="highest accepted value", examples=[0.11])
    severity: Severity

    @model_validator(mode="after")
    def _ordered(self) -> "Between":
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Near(Section):
    """The accepted distance from the value in the section `data`."""

    tolerance: Share = Field(description="accepted distance from the reference", examples=[0.01])
    severity: Severity


class AtMost(Section):
    """The highest accepted count."""

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
