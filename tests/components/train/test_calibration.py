"""Temperature scaling, on labels drawn with a known temperature, and on trained networks."""

import numpy as np
import pytest
from scipy.special import softmax

from components.common.tensorflow import import_tensorflow
from components.train.calibration import (
    Loss,
    at_temperature,
    calibrate,
    confidence_loss,
    fit_temperature,
    log_loss,
    logits_layer,
)
from components.train.settings import Shape
from components.train.zoo import MODELS

SHAPE = Shape(28, 28, 10, 0.286, 0.353, 0.0)


@pytest.mark.parametrize("loss", [confidence_loss, log_loss])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(temperature: float, loss: Loss):
    generator = np.random.default_rng(1)
    logits = generator.normal(size=(20_000, 10)) * 3
    cumulative = softmax(logits / temperature, axis=1).cumsum(axis=1)
    labels = (cumulative < generator.random((20_000, 1))).sum(axis=1).astype(np.uint8)

    found = fit_temperature(softmax(logits, axis=1).astype(np.float32), labels, loss)

    assert found == pytest.approx(temperature, rel=0.04)


def test_losses_by_hand():
    probabilities, labels = np.array([[0.75, 0.25], [0.2, 0.8]]), np.array([1, 1], np.uint8)

    assert log_loss(probabilities, labels) == pytest.approx(-np.log([0.25, 0.8]).mean())
    assert confidence_loss(probabilities, labels) == pytest.approx(-np.log([0.25, 0.8]).mean())
    three = np.array([[0.5, 0.3, 0.2]])  # with more classes, it does not matter which of the others is right
    assert confidence_loss(three, np.array([1])) == confidence_loss(three, np.array([2])) == -np.log(0.5)


def test_a_model_that_is_always_right_becomes_surer_and_one_that_is_always_wrong_gets_the_bound():
    sure = (np.eye(3) * 0.7 + 0.1).astype(np.float32)

    assert 0.05 < fit_temperature(sure, np.arange(3, dtype=np.uint8), confidence_loss) < 0.5
    assert fit_temperature(sure, np.array([1, 2, 0], np.uint8), confidence_loss) == pytest.approx(
        20, rel=1e-3
    )


@pytest.mark.parametrize("name", ["resnet-xs", "cnn-32"])
def test_a_calibrated_model_names_the_same_classes_with_the_probabilities_of_the_temperature(name: str):
    import_tensorflow()
    import keras

    from components.common.saved_model import predict
    from components.train.fit import exported

    keras.utils.set_random_seed(1)
    entry = MODELS[name]
    network = entry.build(SHAPE, keras.layers.BatchNormalization)
    model = exported(network, entry.build, SHAPE, entry.settings, name)
    generator = np.random.default_rng(1)
    images = generator.integers(0, 256, (64, 28, 28), dtype=np.uint8)
    labels = generator.integers(0, 10, 64, dtype=np.uint8)
    before = predict(model, images, 64)

    result = calibrate(model, images, labels)
    after = predict(model, images, 64)

    assert (after.argmax(axis=1) == before.argmax(axis=1)).all()
    assert after == pytest.approx(at_temperature(before, result["temperature"]), abs=1e-5)
    assert result["log_loss_before"] == pytest.approx(log_loss(before, labels))
    assert result["log_loss"] == pytest.approx(log_loss(after, labels), abs=1e-5)
    assert confidence_loss(after, labels) < confidence_loss(before, labels)


def test_every_model_of_the_zoo_ends_in_a_layer_that_can_be_divided():
    import_tensorflow()
    import keras

    for name, entry in MODELS.items():
        network = entry.build(SHAPE, keras.layers.BatchNormalization)
        layer = logits_layer(network)
        assert layer is [each for each in network.layers if each.weights][-1], name
        assert layer.activation is keras.activations.linear, name
