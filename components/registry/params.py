"""The parameters of the comparison with the champion: a part of the section `gate` of `params.yaml`."""

from pydantic import Field

from components.common.params import Section, Share


class ComparisonParams(Section):
    """The limits of the comparison with the champion on the same test images."""

    max_regression: Share = Field(
        description="largest loss of accuracy against the champion; with 0 the accuracy must rise",
        examples=[0.0],
    )
    max_recall_drop: Share | None = Field(
        description="largest loss of a class's recall against the champion", examples=[0.03]
    )
    require_significant: bool = Field(
        description="the accuracy must rise with p <= 0.05 (exact McNemar test)", examples=[False]
    )
