"""Training on the hardest images of each batch."""

from typing import Any

import numpy as np
import pytest

from components.common.tensorflow import import_tensorflow

import_tensorflow()


def linear() -> Any:
    import keras

    dense = keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(0.1))
    return keras.Sequential([keras.Input((4,)), dense])


def compiled(model: Any) -> Any:
    import keras

    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(keras.optimizers.SGD(0.5), loss, metrics=["accuracy"])
    return model


@pytest.mark.parametrize(("draws", "picked"), [(2, 4), (3, 2)])
def test_network_and_proxy_are_trained_on_the_images_that_are_hardest_for_the_proxy(draws: int, picked: int):
    import keras

    from components.train.proxy import HardestImages

    random = np.random.default_rng(1)
    images = random.normal(size=(8, 4)).astype(np.float32)
    labels = keras.utils.to_categorical(random.integers(3, size=8), 3)
    network, proxy = linear(), linear()
    alone = keras.models.clone_model(network), keras.models.clone_model(proxy)
    alone[0].set_weights(network.get_weights())
    alone[1].set_weights(proxy.get_weights())
    logits = proxy(images).numpy()
    right = (logits * (0.9 * labels + 0.1 / 3)).sum(axis=1)
    hardest = np.argsort(right - np.log(np.exp(logits).sum(axis=1)))[:picked]

    logs = compiled(HardestImages(network, proxy, draws)).train_on_batch(images, labels, return_dict=True)

    for model, expected in zip((network, proxy), map(compiled, alone), strict=True):
        seen = expected.train_on_batch(images[hardest], labels[hardest], return_dict=True)
        for one, other in zip(model.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5)
        if model is network:
            assert logs == pytest.approx(seen, rel=1e-5)


def test_validation_is_on_all_images_by_the_network_alone():
    import keras

    from components.train.proxy import HardestImages

    images = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)
    labels = keras.utils.to_categorical(np.arange(8) % 3, 3)
    network = linear()

    both = compiled(HardestImages(network, linear(), 2)).evaluate(images, labels, verbose=0)

    assert both == pytest.approx(compiled(network).evaluate(images, labels, verbose=0))
