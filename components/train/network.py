"""Describes a network: a table of its layers, its arithmetic, a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LayerRow:
    """A layer; `shape` (of the output) and `megaflops` (of the forward pass) are for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    megaflops: float


def layer_table(network: keras.Model) -> list[LayerRow]:
    """The layers in order, with 10^6 multiplications and additions of convolutions and dense layers.

    All other operations of a network are below a hundredth of that.
    """
    return [
        LayerRow(
            layer.name,
            type(layer).__name__,
            tuple(layer.output.shape[1:]),
            layer.count_params(),
            _megaflops(layer),
        )
        for layer in network.layers
    ]


def megaflops(network: keras.Model) -> float:
    """10^6 multiplications and additions of the forward pass of one image."""
    return round(sum(row.megaflops for row in layer_table(network)), 3)


def _megaflops(layer: Any) -> float:
    kernel = getattr(layer, "kernel", None)
    return 0.0 if kernel is None else 2 * prod(layer.output.shape[1:-1]) * prod(kernel.shape) / 1e6


def draw(network: keras.Model, path: Path) -> None:
    """Draws the network with Keras's plotter, as PNG or SVG by the suffix of `path`.

    Raises:
        PipelineError: Graphviz is not installed, or the suffix is another one.
    """
    from keras.utils import plot_model

    if path.suffix not in {".png", ".svg"}:
        raise PipelineError(f"{path} is neither .png nor .svg", "name a file with one of these suffixes")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        plot_model(network, path, show_shapes=True, show_layer_names=True, dpi=100)
    except ImportError:
        raise PipelineError(
            "drawing needs the program `dot` of Graphviz", "on Debian or Ubuntu: apt install graphviz"
        ) from None
