"""The models, by name: a network with the settings that it is trained under.

A new model is a function that builds a network (see `published.py`) and an entry in `MODELS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from components.common.idx import Bytes
from components.train import published, resnet
from components.train.settings import Settings, Shape

if TYPE_CHECKING:
    import keras

    from components.common.params import DataParams

Builder = Callable[[Shape, Any], "keras.Model"]
"""Builds a network; the second argument makes its batch normalisation layers, if it has any."""
Prepare = Callable[["keras.Model", Bytes, Shape, int], None]
"""Sets what a network takes from the train images, by a seed, before it is trained."""


@dataclass(frozen=True)
class Entry:
    """A model: its network, how it is trained if `params.yaml` does not say, and what is claimed of it."""

    build: Builder
    settings: Settings
    claim: str
    prepare: Prepare | None = None


_S = Settings(
    epochs=10,
    batch_size=128,
    optimizer="nesterov",
    learning_rate=0.4,
    schedule="triangular",
    warmup=0.2,
    momentum=0.9,
    l2=5e-4,
    label_smoothing=0.1,
    flip=True,
    flip_average=True,
    precision="auto",
)
_XS = replace(_S, epochs=2)
_M = replace(_S, epochs=22, cutout=6)
# `resnet-m` made as large as the gate lets pass; still to be measured.
_GPU = replace(_M, epochs=60, batch_size=512, learning_rate=0.8, cutout=8, precision="bfloat16", xla=True)


def _residual(widths: tuple[int, int, int], settings: Settings, claim: str) -> Entry:
    return Entry(partial(resnet.residual, widths=widths), settings, claim, resnet.whiten)


MODELS: dict[str, Entry] = {
    "resnet-s": _residual((48, 96, 128), _S, "the default: best accuracy per second"),
    "resnet-xs": _residual((32, 64, 96), _XS, "a first look in half a minute"),
    "resnet-m": _residual((48, 96, 192), _M, "best accuracy in 15 minutes"),
    "resnet-gpu": _residual((64, 128, 256), _GPU, "for a GPU node: 96 % is the goal, not yet measured"),
    "cnn-32": Entry(
        published.cnn_32,
        Settings(epochs=50, batch_size=512, optimizer="adam", learning_rate=0.001),
        "10 classes from 28x28 gray images",
    ),
    "cnn-32-100": Entry(
        published.cnn_32_100,
        Settings(epochs=10, batch_size=32, optimizer="sgd", learning_rate=0.01, momentum=0.9),
        "91.14 % test accuracy",
    ),
    "cnn-64-64-512": Entry(
        published.cnn_64_64_512,
        Settings(epochs=10, batch_size=32, optimizer="adam", learning_rate=0.001),
        "862,410 parameters, GPU",
    ),
    "cnn-3x64-128": Entry(
        published.cnn_3x64_128,
        Settings(epochs=20, batch_size=32, optimizer="adam", learning_rate=0.001),
        "sparse categorical cross-entropy, Adam, 20 epochs",
    ),
    "mlp-128-64": Entry(
        published.mlp_128_64,
        Settings(epochs=10, batch_size=32, optimizer="adam", learning_rate=0.001),
        "logits, Adam, 10 epochs",
    ),
}
MODEL_NAMES = tuple(MODELS)
RENAMED = {"house": "resnet-s", "quick": "resnet-xs", "best": "resnet-m", "gpu": "resnet-gpu"}
"""Former names of our networks."""


def shape_of(data: DataParams, settings: Settings) -> Shape:
    """What a network is told of the data and of its training."""
    return Shape(data.height, data.width, len(data.classes), data.pixel_mean, data.pixel_std, settings.l2)
