"""A model of the zoo as text: tables of its settings and layers."""

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
    """The untrained network of a model, in standard layers."""
    import_tensorflow()
    import keras

    entry = MODELS[name]
    return entry.build(shape_of(data, entry.settings), keras.layers.BatchNormalization)


def model_tables(name: str, data: DataParams) -> tuple[keras.Model, str]:
    """The network of a model, and its tables of settings and layers as text."""
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
