"""Fitting: resuming an interrupted training, several devices, and the exported model."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common import idx
from components.train.precision import resolve
from components.train.settings import Settings, Shape
from components.train.zoo import MODELS
from tests.support.project import ROOT, Project

SHAPE = Shape(28, 28, 10, 0.286, 0.353, 5e-4)
SETTINGS = replace(MODELS["resnet-s"].settings, epochs=3, batch_size=64, precision="float32")


def fit_subset(
    subset: Path, state: Path, settings: Settings, on_epoch: Any = lambda row: None, model: str = "resnet-s"
) -> Any:
    from components.train.fit import fit

    images, labels = idx.read_split(subset, "train")
    return fit(
        MODELS[model],
        (images[200:], labels[200:]),
        (images[:200], labels[:200]),
        SHAPE,
        settings,
        seed=1,
        on_epoch=on_epoch,
        state=str(state / "key.npz"),
    )


class StoppedError(Exception):
    pass


@pytest.mark.parametrize(
    ("after", "changes"),
    [
        (1, {"cutout": 4}),  # and Muon, shift and proxy, which are the model's
        pytest.param(2, {"optimizer": "adam", "learning_rate": 0.001}, marks=pytest.mark.slow),
    ],
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

    again, history = fit_subset(subset, tmp_path / "stopped", settings, pytest.fail)  # all epochs are kept
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for one, other in zip(whole.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"{}"])
def test_a_damaged_state_is_not_used(subset: Path, tmp_path: Path, content: bytes):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "key.npz").write_bytes(content)

    settings = replace(MODELS["mlp-128-64"].settings, epochs=1)
    _, history = fit_subset(subset, tmp_path / "state", settings, model="mlp-128-64")

    assert [row["epoch"] for row in history] == [1]


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-3), ("bfloat16", 0.06)])
def test_the_exported_model_predicts_as_the_trained_network(
    subset: Path, tmp_path: Path, precision: Any, tolerance: float
):
    import keras

    from components.train.fit import exported

    if precision == "bfloat16" != resolve("auto"):
        pytest.skip("this processor would not train in bfloat16")
    settings = replace(SETTINGS, epochs=2, precision=precision)
    network, _ = fit_subset(subset, tmp_path / "state", settings)
    images, _ = idx.read_split(subset, "test")
    build = MODELS["resnet-s"].build

    plain = exported(network, build, SHAPE, replace(settings, flip_average=False), "resnet-s")
    averaged = exported(network, build, SHAPE, settings, "resnet-s")
    averaged.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")

    logits = network(images, training=False).numpy()
    mirrored = network(images[:, :, ::-1], training=False).numpy()
    np.testing.assert_allclose(plain(images), softmax(logits), atol=tolerance)
    np.testing.assert_allclose(loaded(images), softmax((logits + mirrored) / 2), atol=tolerance)
    assert {layer.dtype for layer in loaded.layers} <= {"float32", "uint8"}
    assert {type(layer).__module__.partition(".")[0] for layer in loaded.layers} == {"keras"}


def softmax(logits: Any) -> Any:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        pytest.param("resnet-s", "epochs=4, proxy=0", marks=pytest.mark.slow),
        pytest.param("resnet-s", "epochs=8, proxy=2", marks=pytest.mark.slow),
        ("cnn-32-100", "epochs=1"),
    ],
)
def test_two_devices_train_together(subset: Path, tmp_path: Path, trained: Project, model: str, changes: str):
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np, tensorflow as tf\n"
        "cpu = tf.config.list_physical_devices('CPU')[0]\n"
        "tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)\n"
        "from components.train import fit\n"
        "from dataclasses import replace\n"
        "from tests.components.train.test_fit import MODELS, SETTINGS, fit_subset\n"
        "fit.accelerators = lambda: ['CPU:0', 'CPU:1']\n"
        "assert fit.strategy().num_replicas_in_sync == 2\n"
        "subset, out, model = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]\n"
        "settings = SETTINGS if model == 'resnet-s' else MODELS[model].settings\n"
        f"settings = replace(settings, xla=True, {changes})\n"
        "network, history = fit_subset(subset, out / 'state', settings, model=model)\n"
        "np.savez(out / 'two.npz', history[-1]['val_accuracy'], *network.get_weights())\n"
    )
    Project(ROOT, trained.environment | {"PYTHONPATH": str(ROOT)}).run(
        sys.executable, "-c", script, str(subset), str(tmp_path), model
    )

    with np.load(tmp_path / "two.npz") as two:
        accuracy, *weights = (two[name] for name in two.files)
    if model == "resnet-s":
        assert accuracy > 0.7
    else:  # without batch normalisation, a batch in two halves gives the same weights but for rounding
        settings = replace(MODELS[model].settings, epochs=1)
        alone, _ = fit_subset(subset, tmp_path / "one", settings, model=model)
        for one, other in zip(alone.get_weights(), weights, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)
