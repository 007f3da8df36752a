"""The section `gate` of `params.yaml`."""

from pydantic import Field

from components.common.params import Share
from components.registry.params import ComparisonParams


class GateParams(ComparisonParams):
    """The limits of the gate's rules; those of the comparison are inherited. Null switches a rule off."""

    accuracy_min: Share = Field(description="lowest test accuracy", examples=[0.92])
    accuracy_lower_min: Share | None = Field(
        description="lowest lower end of the accuracy's 95 % interval", examples=[0.915]
    )
    worst_recall_min: Share | None = Field(description="lowest recall of the worst class", examples=[0.7])
    calibration_error_max: Share | None = Field(
        description="highest expected calibration error", examples=[0.03]
    )
    model_megabytes_max: float | None = Field(
        gt=0, description="largest model file in MB (10^6 bytes)", examples=[10.0]
    )
