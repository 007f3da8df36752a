"""A network described: its layers with shapes, parameters and arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class LayerRow:
    """A layer: `shape` is of its output for one image, `megaflops` of its forward pass for one image."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    megaflops: float


def layer_table(network: keras.Model) -> list[LayerRow]:
    """The layers in order.

    Counted are the multiplications and additions of convolutions and dense layers, 10^6 of them;
    the rest of a network is below a hundredth of that.
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
    """Multiplications and additions of a forward pass of one image, in 10^6."""
    return round(sum(row.megaflops for row in layer_table(network)), 3)


def _megaflops(layer: Any) -> float:
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0.0
    places = 1
    for size in layer.output.shape[1:-1]:
        places *= size
    multiplications = places
    for size in kernel.shape:
        multiplications *= size
    return float(2 * multiplications / 1e6)


def draw(network: keras.Model, path: Path) -> None:
    """Draws the network as PNG or SVG, by the suffix of `path`, with Keras's own plotter.

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
