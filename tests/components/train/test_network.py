"""Arithmetic of a network, and its drawing."""

from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.train.network import draw, megaflops
from pipeline.models import build_plain
from pipeline.params import Params


def test_arithmetic_is_counted_in_convolutions_and_dense_layers(subset_params: Params):
    # 26 x 26 places x 3 x 3 x 32, and 5408 x 100 + 100 x 10, a multiplication and an addition each
    expected = 2 * (26 * 26 * 9 * 32 + 5408 * 100 + 100 * 10) / 1e6
    assert megaflops(build_plain("cnn-32-100", subset_params.data)) == pytest.approx(expected, abs=1e-3)


def test_drawings_are_png_or_svg(subset_params: Params, tmp_path: Path):
    with pytest.raises(PipelineError, match="neither"):
        draw(build_plain("mlp-128-64", subset_params.data), tmp_path / "mlp.pdf")
