"""Optimizers and the triangular learning rate."""

from typing import Any

import numpy as np
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


@pytest.mark.parametrize("shape", [(3, 3, 16, 8), (1, 1, 8, 32), (3, 3, 32, 32)])
def test_orthogonalised_filters_keep_their_singular_vectors(shape: tuple[int, ...]):
    from components.train.optimizer import orthogonalised

    matrix = np.random.default_rng(1).normal(size=(int(np.prod(shape[:-1])), shape[-1])).astype(np.float32)
    left, _, right = np.linalg.svd(matrix, full_matrices=False)

    result = orthogonalised(matrix.reshape(shape)).numpy()

    assert result.shape == shape
    values = left.T @ result.reshape(matrix.shape) @ right.T
    assert np.abs(values - np.diag(np.diag(values))).max() < 0.05
    assert np.median(np.diag(values)) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("shape", [(3, 3, 4, 8), (1, 1, 8, 32)])
def test_muon_moves_filters_by_its_rate_and_other_weights_as_nesterov_does(shape: tuple[int, ...]):
    import keras

    from components.train.optimizer import make_optimizer, orthogonalised

    random = np.random.default_rng(1)
    filters, first, second = random.normal(size=(3, *shape)).astype(np.float32)
    kernel, *gradients = random.normal(size=(3, 8, 10)).astype(np.float32)
    muon = make_optimizer(settings(optimizer="muon", learning_rate=0.02, momentum=0.95), 10)
    nesterov = make_optimizer(settings(optimizer="nesterov", momentum=0.9), 10)
    variables, alone = [keras.Variable(filters), keras.Variable(kernel)], keras.Variable(kernel)

    muon.apply([first, gradients[0]], variables)
    before = variables[0].numpy()
    muon.apply([second, gradients[1]], variables)
    for gradient in gradients:
        nesterov.apply([gradient], [alone])

    np.testing.assert_allclose(variables[1].numpy(), alone.numpy(), rtol=1e-4)
    scaled = before * np.sqrt(shape[-1]) / np.linalg.norm(before)
    momentum = 0.95 * first + second
    wide = max(1.0, np.sqrt(shape[-1] / np.prod(shape[:-1])))
    expected = scaled - 0.02 * wide * orthogonalised(second + 0.95 * momentum).numpy()
    np.testing.assert_allclose(variables[0].numpy(), expected, atol=3e-4)
