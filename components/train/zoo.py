"""The model zoo: networks by name, each with its training settings.

To add a model, write a function that builds a network (see `published.py`) and add it to `MODELS`.
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
"""Builds a network; the second argument is the class of its batch normalisation layers."""
Prepare = Callable[["keras.Model", Bytes, Shape, int], None]
"""Sets weights that are computed from the train images, with a seed, before training."""


@dataclass(frozen=True)
class Entry:
    """A model: its network, its default settings, and what its author or this project claims about it."""

    build: Builder
    settings: Settings
    claim: str
    prepare: Prepare | None = None


_S = Settings(
    epochs=14,
    batch_size=128,
    optimizer="muon",
    learning_rate=0.02,
    schedule="triangular",
    warmup=0.2,
    momentum=0.95,
    l2=5e-4,
    label_smoothing=0.1,
    flip=True,
    shift=1,
    proxy=2,
    flip_average=True,
    precision="auto",
)
_XS = replace(_S, epochs=4, shift=0, proxy=3)
_M = replace(_S, epochs=35, erase=0.5)
_GPU = replace(
    _S,
    epochs=60,
    batch_size=512,
    optimizer="nesterov",
    learning_rate=0.8,
    momentum=0.9,
    shift=0,
    cutout=8,
    proxy=0,
    precision="bfloat16",
    xla=True,
)
_ADAM = Settings(epochs=10, batch_size=32, optimizer="adam", learning_rate=0.001)


def _residual(widths: tuple[int, int, int], settings: Settings, claim: str) -> Entry:
    return Entry(partial(resnet.residual, widths=widths), settings, claim, resnet.whiten)


MODELS: dict[str, Entry] = {
    "resnet-s": _residual((48, 96, 128), _S, "the default: best accuracy per second"),
    "resnet-xs": _residual((32, 64, 96), _XS, "a first look in less than a minute"),
    "resnet-m": _residual((48, 96, 192), _M, "best accuracy in 15 minutes"),
    # as large as the gate permits
    "resnet-gpu": _residual((64, 128, 256), _GPU, "for a GPU node: 96 % is the goal, not yet measured"),
    "cnn-32": Entry(
        published.cnn_32, replace(_ADAM, epochs=50, batch_size=512), "10 classes from 28x28 gray images"
    ),
    "cnn-32-100": Entry(
        published.cnn_32_100,
        Settings(epochs=10, batch_size=32, optimizer="sgd", learning_rate=0.01, momentum=0.9),
        "91.14 % test accuracy",
    ),
    "cnn-64-64-512": Entry(published.cnn_64_64_512, _ADAM, "862,410 parameters, GPU"),
    "cnn-3x64-128": Entry(
        published.cnn_3x64_128, replace(_ADAM, epochs=20), "sparse categorical cross-entropy, Adam, 20 epochs"
    ),
    "mlp-128-64": Entry(published.mlp_128_64, _ADAM, "logits, Adam, 10 epochs"),
}
MODEL_NAMES = tuple(MODELS)
RENAMED = {"house": "resnet-s", "quick": "resnet-xs", "best": "resnet-m", "gpu": "resnet-gpu"}
"""Former names of the resnet models."""


def shape_of(data: DataParams, settings: Settings) -> Shape:
    """What a network is built for: the properties of the data, and the weight decay."""
    return Shape(
        data.height,
        data.width,
        len(data.classes),
        data.pixel_mean,
        data.pixel_std,
        settings.l2,
        filters_decay=settings.optimizer != "muon",
    )
