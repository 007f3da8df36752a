"""What a network is told of the data, and how it is trained."""

from dataclasses import dataclass
from typing import Any, Literal

Optimizer = Literal["adam", "nesterov", "sgd"]
Schedule = Literal["constant", "triangular"]
PrecisionSetting = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Shape:
    """What a network needs to know of the data and of its training."""

    height: int
    width: int
    classes: int
    pixel_mean: float
    pixel_std: float
    l2: float


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a network is trained. `train` in `params.yaml` says what each means, and overrides any.

    What most networks of the literature do not have is off by default.
    """

    epochs: int
    batch_size: int
    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule = "constant"
    warmup: float = 0.0
    momentum: float = 0.0
    l2: float = 0.0
    label_smoothing: float = 0.0
    flip: bool = False
    shift: int = 0
    cutout: int = 0
    flip_average: bool = False
    precision: PrecisionSetting = "float32"
    xla: bool = False

    def override(self, changes: dict[str, Any]) -> "Settings":
        """These settings with those of `changes` that are not None."""
        return Settings(
            **(vars(self) | {name: value for name, value in changes.items() if value is not None})
        )
