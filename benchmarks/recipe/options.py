"""What a trial may change of the recipe."""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

import click


def option(default: Any, text: str) -> Any:
    """A field whose help is `text`."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a trial; the defaults are `resnet-s` as it was before the trials."""

    seed: int = option(1, "of weights, split, shuffle and augmentation")
    held_out: int = option(10_000, "train images that are held out, and judged by")
    widths: str = option("48,96,128", "channels of the three stages")
    epochs: float = option(4.0, "passes over the train images")
    batch: int = option(128, "images of a step")
    optimizer: Literal["nesterov", "muon"] = option("nesterov", "muon: only for the filters")
    rate: float = option(0.4, "peak learning rate; of muon's filters, a twentieth of it")
    momentum: float = option(0.9, "of nesterov, or of muon's filters")
    l2: float = option(5e-4, "weight decay of the last layer")
    filters_l2: float = option(5e-4, "weight decay of the filters")
    smoothing: float = option(0.1, "label smoothing")
    scale: Literal["learned", "frozen"] = option("learned", "batch normalisation's scale")
    bias_rate: float = option(1.0, "learning rate of batch normalisation's biases: so many times the others'")
    filters: Literal["he", "dirac"] = option("he", "initial filters of the 3x3 convolutions")
    front: Literal["normalised", "bias"] = option(
        "normalised", "what follows the whitening: normalisation, or a bias"
    )
    front_epochs: float = option(3.0, "epochs in which the front's bias is trained")
    lookahead: int = option(0, "steps between two updates of the slow weights; 0: none")
    norm_momentum: float = option(0.9, "of batch normalisation's moving statistics")
    average: float = option(0.0, "exponential average of the weights over the steps; 0: none")
    activation: Literal["relu", "gelu", "silu"] = option("relu", "of all layers")
    head: float = option(0.25, "factor of the logits")
    shift: int = option(0, "pixels by which an image is moved at most")
    cutout: int = option(0, "side of the square that is set to the mean")
    erase: float = option(
        0.0, "probability of random erasing: 2 to 40 % of the area, aspect 0.3 to 3.3, noise"
    )
    cutmix_epochs: float = option(0.0, "last epochs with cutmix")
    small: float = option(0.0, "share of the steps, at the start, on 20x20 pixels")
    proxy: str = option(
        "", "widths of a proxy network that picks the harder half of batches of twice the size"
    )
    proxy_stride: Literal["2", "4"] = option("2", "stride of its first layer; 4: all of it at 7x7")
    proxy_from: float = option(0.0, "share of the steps before which the proxy's half is a random one")


def with_options(command: Any) -> Any:
    """Adds a click option for each field of `Options`."""
    hints = get_type_hints(Options)
    for name, spec in reversed(Options.__dataclass_fields__.items()):
        choices = get_args(hints[name])
        kind = click.Choice(choices) if choices else hints[name]
        add = click.option(
            f"--{name.replace('_', '-')}",
            type=kind,
            default=spec.default,
            show_default=spec.default != "",
            help=spec.metadata["help"],
        )
        command = add(command)
    return command
