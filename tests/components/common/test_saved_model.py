"""The file of a saved model: the same bytes for the same model, whenever and wherever it is saved."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from components.common.errors import PipelineError
from components.common.files import file_digest
from components.common.saved_model import load_model, save_model, weights_digest
from components.common.tensorflow import import_tensorflow
from components.train.fit import exported
from components.train.settings import Shape
from components.train.zoo import MODELS
from tests.support.data_files import flip
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


def test_a_file_that_training_did_not_write_is_refused_before_keras_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = saved(tmp_path / "model.keras", "mlp-128-64")
    weights, digest = weights_digest(keras.models.load_model(path)), file_digest(path, "sha256")
    assert load_model(path, weights, digest).count_params() == 109_386
    flip(path)
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: pytest.fail("it was read"))

    with pytest.raises(PipelineError, match=rf"has the SHA-256 .*training wrote {digest[:12]}"):
        load_model(path, weights, digest)


def test_a_model_with_code_in_it_is_refused(tmp_path: Path):
    """A Lambda layer is Python code, which Keras's safe mode does not load."""
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)]).save(path)

    with pytest.raises(PipelineError, match=r"is not a Keras model: .*[Ll]ambda"):
        load_model(path, "any", file_digest(path, "sha256"))
