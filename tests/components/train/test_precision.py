"""The number format follows the processor."""

from pathlib import Path

import pytest

from components.train.precision import resolve


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2", "float32"),
        ("fpu avx512_bf16", "bfloat16"),
        ("fpu amx_bf16", "bfloat16"),
        (None, "float32"),
    ],
)
def test_precision_follows_the_processor(tmp_path: Path, flags: str | None, expected: str):
    if flags:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n")

    assert resolve("auto", tmp_path / "cpuinfo") == expected
    assert resolve("float32", tmp_path / "cpuinfo") == "float32"
