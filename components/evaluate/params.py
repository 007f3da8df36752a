"""The section `evaluate` of `params.yaml`."""

from pydantic import Field

from components.common.params import Section


class EvaluateParams(Section):
    """How the model is measured on test."""

    calibration_bins: int = Field(ge=2, le=1000, description="bins of confidence", examples=[15])
    batch_size: int = Field(ge=1, le=65_536, description="images per prediction", examples=[500])
