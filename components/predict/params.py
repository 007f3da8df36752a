"""The section `predict` of `params.yaml`."""

from pydantic import Field

from components.common.params import Section, Share


class PredictParams(Section):
    """How predictions are shown."""

    not_sure_below: Share = Field(
        description='a prediction with a smaller probability is shown as "not sure"', examples=[0.5]
    )
    top: int = Field(ge=1, le=100, description="classes shown for each picture", examples=[3])
