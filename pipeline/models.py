"""A model for people: its settings and layers as tables, and its drawing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from tabulate import tabulate

from components.common.params import DataParams
from components.common.tensorflow import import_tensorflow
from components.train.zoo import MODELS, shape_of

if TYPE_CHECKING:
    import keras


def build_plain(name: str, data: DataParams) -> keras.Model:
    """The network of a model in standard layers, untrained, for images of the data's size and classes."""
    import_tensorflow()
    import keras

    entry = MODELS[name]
    return entry.build(shape_of(data, entry.settings), keras.layers.BatchNormalization)


def model_tables(name: str, data: DataParams) -> tuple[keras.Model, str]:
    """A model's network, and the tables of its settings and layers."""
    from components.train.network import layer_table

    network = build_plain(name, data)
    entry, rows = MODELS[name], layer_table(network)
    settings = tabulate(
        [(setting, str(value)) for setting, value in asdict(entry.settings).items()], ("setting", "value")
    )
    cells = [
        (row.name, row.kind, " x ".join(map(str, row.shape)), f"{row.parameters:,}", f"{row.megaflops:.3f}")
        for row in rows
    ]
    total = ("", "", "", f"{network.count_params():,}", f"{sum(row.megaflops for row in rows):.3f}")
    layers = tabulate(
        [*cells, total],
        ("layer", "kind", "output", "parameters", "MFLOP"),
        disable_numparse=True,
        colalign=("left", "left", "left", "right", "right"),
    )
    return network, f"{name}: {entry.claim}\n\n{settings}\n\n{layers}"
