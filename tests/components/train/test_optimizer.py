"""Optimizers and the triangular learning rate."""

from typing import Any

import pytest

from components.common.tensorflow import import_tensorflow
from components.train.settings import Settings

import_tensorflow()


def settings(**changes: Any) -> Settings:
    return Settings(epochs=1, batch_size=8, optimizer="sgd", learning_rate=0.4).override(changes)


def test_the_triangular_rate_rises_to_its_peak_and_falls_to_nearly_0():
    from components.train.optimizer import TriangularRate

    rate = TriangularRate(0.4, 0.2, 100)

    assert [float(rate(step)) for step in (0, 10, 19)] == pytest.approx([0.04, 0.22, 0.382], abs=1e-4)
    assert float(rate(20)) == pytest.approx(0.402, abs=1e-4)
    assert 0 < float(rate(99)) < 0.01


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_a_triangle_may_only_fall_or_only_rise(warmup: float):
    from components.train.optimizer import TriangularRate

    rates = [float(TriangularRate(1.0, warmup, 10)(step)) for step in range(10)]

    assert rates == sorted(rates, reverse=not warmup)


def test_optimizers_follow_the_settings():
    from components.train.optimizer import make_optimizer

    adam = make_optimizer(settings(optimizer="adam", learning_rate=0.001), 10)
    nesterov = make_optimizer(settings(optimizer="nesterov", momentum=0.9, schedule="triangular"), 10)
    sgd = make_optimizer(settings(momentum=0.5), 10)

    assert adam.name == "adam"
    assert float(adam.learning_rate) == pytest.approx(0.001)
    assert (nesterov.momentum, nesterov.nesterov) == (0.9, True)
    assert float(nesterov.learning_rate) == pytest.approx(0.4 * 1.005)
    assert (sgd.momentum, sgd.nesterov) == (0.5, False)
    assert float(sgd.learning_rate) == pytest.approx(0.4)
