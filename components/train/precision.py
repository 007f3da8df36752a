"""Which number format the activations take."""

from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
"""Processor flags (Linux, x86-64) with which bfloat16 convolutions are the faster ones."""


def resolve(
    precision: Literal["auto", "float32", "bfloat16"], cpuinfo: Path = Path("/proc/cpuinfo")
) -> Precision:
    """Turns `auto` into bfloat16 where the processor computes in it, and into float32 elsewhere."""
    if precision != "auto":
        return precision
    try:
        flags = set(cpuinfo.read_text().split())
    except OSError:
        return "float32"
    return "bfloat16" if flags & BFLOAT16_FLAGS else "float32"
