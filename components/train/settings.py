"""The properties of the data that a network depends on, and the settings of its training."""

from dataclasses import dataclass, replace
from typing import Any, Literal

Optimizer = Literal["adam", "muon", "nesterov", "sgd"]
Schedule = Literal["constant", "triangular"]
PrecisionSetting = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Shape:
    """What a network is built for: image size, classes, pixel statistics (of pixels / 255), weight decay.

    `filters_decay`: the filters of convolutions, too. Muon scales them in each step, and is worse with it.
    """

    height: int
    width: int
    classes: int
    pixel_mean: float
    pixel_std: float
    l2: float
    filters_decay: bool = True


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a training, explained in `components/train/params.py`.

    By default, everything that most published networks do not use is off.
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
    erase: float = 0.0
    proxy: int = 0
    flip_average: bool = False
    precision: PrecisionSetting = "float32"
    xla: bool = False

    @property
    def images_per_step(self) -> int:
        """How many images a step draws; with a proxy, it trains on some of them."""
        return self.batch_size * max(self.proxy, 1)

    def override(self, changes: dict[str, Any]) -> "Settings":
        """These settings, changed to the values of `changes` that are not None."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})
