"""The number format of the activations."""

from pathlib import Path
from typing import Literal

from components.train.settings import PrecisionSetting

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
"""CPU flags (Linux, x86-64) of processors on which convolutions are faster in bfloat16."""


def resolve(
    precision: PrecisionSetting, cpuinfo: Path = Path("/proc/cpuinfo")
) -> Literal["float32", "bfloat16"]:
    """Resolves `auto` to bfloat16 if the processor supports it, else to float32."""
    if precision != "auto":
        return precision
    try:
        flags = set(cpuinfo.read_text().split())
    except OSError:
        return "float32"
    return "bfloat16" if flags & BFLOAT16_FLAGS else "float32"
