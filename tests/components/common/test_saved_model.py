"""The file of a saved model: the same bytes for the same model, whenever and wherever it is saved."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from components.common.files import file_digest
from components.common.saved_model import save_model, weights_digest
from components.common.tensorflow import import_tensorflow
from components.train.fit import exported
from components.train.settings import Shape
from components.train.zoo import MODELS
from tests.support.project import ROOT

import_tensorflow()
SHAPE = Shape(28, 28, 10, 0.286, 0.353, 5e-4)


def saved(path: Path, model: str = "resnet-xs") -> Path:
    entry = MODELS[model]
    keras.utils.set_random_seed(1)
    network = entry.build(SHAPE, keras.layers.BatchNormalization)
    save_model(exported(network, entry.build, SHAPE, entry.settings, model), path)
    return path


def test_the_same_model_is_the_same_file(tmp_path: Path):
    first = saved(tmp_path / "first.keras")
    MODELS["cnn-32"].build(SHAPE, None)  # counts up the numbers in the names of layers
    second = saved(tmp_path / "second.keras")
    code = "import sys; from pathlib import Path; from tests.components.common import test_saved_model\n"
    code += "test_saved_model.saved(Path(sys.argv[1]))"
    third = tmp_path / "third.keras"
    subprocess.run([sys.executable, "-c", code, str(third)], cwd=ROOT, check=True)

    digests = {file_digest(path, "sha256") for path in (first, second, third)}
    assert len(digests) == 1
    assert file_digest(saved(tmp_path / "other.keras", "cnn-32"), "sha256") not in digests


def test_the_file_is_keras_own(tmp_path: Path):
    entry = MODELS["cnn-32"]
    keras.utils.set_random_seed(2)
    network = entry.build(SHAPE, keras.layers.BatchNormalization)
    model = exported(network, entry.build, SHAPE, entry.settings, "cnn-32")
    save_model(model, tmp_path / "model.keras")

    loaded = keras.models.load_model(tmp_path / "model.keras")

    assert weights_digest(loaded) == weights_digest(model)
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))
