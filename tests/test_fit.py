"""Fitting: going on after a stop, several devices, and the exported model."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common import idx
from components.train.house import whitening_kernel
from components.train.models import MODELS
from components.train.settings import Settings, Shape
from tests.conftest import Project

SHAPE = Shape(28, 28, 10, 0.286, 0.353, 5e-4)
SETTINGS = replace(MODELS["house"].settings, epochs=3, batch_size=64, precision="float32")


def fit_subset(subset: Path, state: Path, settings: Settings, on_epoch: Any = lambda row: None) -> Any:
    from components.train.fit import fit

    images, labels = idx.read_split(subset, "train")
    return fit(
        MODELS["house"].build,
        (images[200:], labels[200:]),
        (images[:200], labels[:200]),
        SHAPE,
        settings,
        seed=1,
        on_epoch=on_epoch,
        state=state / "key.npz",
    )


class StoppedError(Exception):
    pass


@pytest.mark.parametrize(
    ("after", "changes"), [(1, {"shift": 1, "cutout": 4}), (2, {"optimizer": "adam", "learning_rate": 0.001})]
)
def test_a_stopped_training_goes_on_to_the_same_weights(
    subset: Path, tmp_path: Path, after: int, changes: dict[str, Any]
):
    settings = replace(SETTINGS, **changes)

    def stop(row: dict[str, float]) -> None:
        if row["epoch"] == after + 1:  # the state of this epoch is not yet kept
            raise StoppedError

    whole, _ = fit_subset(subset, tmp_path / "whole", settings)
    with pytest.raises(StoppedError):
        fit_subset(subset, tmp_path / "stopped", settings, stop)
    seen: list[float] = []
    resumed, history = fit_subset(
        subset, tmp_path / "stopped", settings, lambda row: seen.append(row["epoch"])
    )

    assert seen == [epoch for epoch in (1, 2, 3) if epoch > after]
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_state_that_is_damaged_or_of_another_run_is_not_used(subset: Path, tmp_path: Path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "other.npz").touch()
    (tmp_path / "state" / "key.npz").write_bytes(b"PK\x03\x04 half a file")

    _, history = fit_subset(subset, tmp_path / "state", replace(SETTINGS, epochs=1))

    assert [row["epoch"] for row in history] == [1]
    assert not (tmp_path / "state" / "other.npz").exists()


def test_the_exported_model_predicts_as_the_trained_network(subset: Path, tmp_path: Path):
    import keras

    from components.train.fit import exported

    network, _ = fit_subset(subset, tmp_path / "state", SETTINGS)
    images, _ = idx.read_split(subset, "test")
    build = MODELS["house"].build

    plain = exported(network, build, SHAPE, replace(SETTINGS, flip_average=False), "house")
    averaged = exported(network, build, SHAPE, SETTINGS, "house")
    averaged.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    logits = network(images, training=False).numpy()
    mirrored = network(images[:, :, ::-1], training=False).numpy()
    np.testing.assert_allclose(plain(images), softmax(logits), atol=1e-3)
    np.testing.assert_allclose(loaded(images), softmax((logits + mirrored) / 2), atol=1e-3)
    assert {type(layer).__module__.partition(".")[0] for layer in loaded.layers} == {"keras"}


def softmax(logits: Any) -> Any:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_the_front_whitens_patches(subset: Path):
    images, _ = idx.read_split(subset, "train")
    kernel = whitening_kernel(images, SHAPE, 1)
    pixels = (images[:500] / 255 - SHAPE.pixel_mean) / SHAPE.pixel_std
    patches = np.lib.stride_tricks.sliding_window_view(pixels, (4, 4), (1, 2)).reshape(-1, 16)

    responses = patches @ kernel.reshape(16, 32)

    assert kernel.shape == (4, 4, 1, 32)
    np.testing.assert_array_equal(kernel[..., 16:], -kernel[..., :16])
    second_moments = responses[:, :16].T @ responses[:, :16] / len(responses)
    off_diagonal = second_moments - np.diag(np.diag(second_moments))
    assert np.abs(off_diagonal).max() < 0.1
    assert np.diag(second_moments)[-8:] == pytest.approx(np.ones(8), abs=0.15)


def test_two_devices_train_together(subset: Path, tmp_path: Path, trained: Project):
    script = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "import tensorflow as tf\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
        "from components.train import fit\n"
        "from tests.test_fit import SETTINGS, fit_subset\n"
        "from dataclasses import replace\n"
        "fit.accelerators = lambda: ['CPU:0', 'CPU:1']\n"
        "assert fit.strategy().num_replicas_in_sync == 2\n"
        "settings = replace(SETTINGS, epochs=4, xla=True)\n"
        "network, history = fit_subset(Path(sys.argv[1]), Path(sys.argv[2]), settings)\n"
        "print(json.dumps([row['val_accuracy'] for row in history]))\n"
    )
    root = Path(__file__).parents[1]
    result = Project(root, trained.environment | {"PYTHONPATH": str(root)}).run(
        sys.executable, "-c", script, str(subset), str(tmp_path / "state")
    )

    accuracies = json.loads(result.stdout.splitlines()[-1])
    assert len(accuracies) == 4
    assert accuracies[-1] > 0.7
