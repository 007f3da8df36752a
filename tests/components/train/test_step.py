"""Training: the stream of batches, the layers, determinism, and what stops it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from components.common import idx
from components.common.errors import TrainingError, ValidationError
from components.common.files import data_version, write_json
from components.common.saved_model import load_model, predict
from components.train.fit import steps_per_epoch
from components.train.params import ModelParams
from components.train.step import describe_run, train
from pipeline.params import Params
from tests.support.project import Project
from tests.support.training import StoppedError, run, stop_in_epoch_2


@pytest.fixture
def resnet_s_params(subset_params: Params) -> Params:
    """The subset's parameters, for the default model."""
    return subset_params.model_copy(update={"model": ModelParams(name="resnet-s")})


@pytest.mark.parametrize(
    ("batch_count", "expected"),
    [(429, (429, 39)), (431, (430, 43)), (1718, (1716, 52)), (107, (106, 53)), (10, (10, 10))],
)
def test_steps_are_whole_executions(batch_count: int, expected: tuple[int, int]):
    assert steps_per_epoch(batch_count) == expected


def test_the_same_inputs_give_the_same_weights_in_another_process_and_folder(
    trained: Project, subset: Path, subset_params: Params, tmp_path: Path
):
    here = run(subset, tmp_path / "here", subset_params)
    there = trained.json("outputs/train/training.json")

    assert here["weights_digest"] == there["weights_digest"]
    assert here["run_key"] == there["run_key"]


def test_another_seed_gives_other_weights_and_another_key(
    subset: Path, subset_params: Params, trained: Project, tmp_path: Path
):
    other = run(subset, tmp_path / "other", subset_params, seed=2, epochs=1)
    there = trained.json("outputs/train/training.json")

    assert other["weights_digest"] != there["weights_digest"]
    assert other["run_key"] != there["run_key"]


def test_the_saved_model_needs_only_keras(
    trained: Project, subset: Path, resnet_s_params: Params, tmp_path: Path
):
    script = (
        "import sys, numpy as np, keras\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "images = np.fromfile(sys.argv[2], np.uint8, offset=16).reshape(-1, 28, 28)\n"
        "p = model.predict(images, verbose=0)\n"
        "assert model.input.dtype == 'uint8' and p.dtype == np.float32, (model.input.dtype, p.dtype)\n"
        "assert not {'components', 'pipeline'} & sys.modules.keys()\n"
        "np.save('probabilities.npy', p)"
    )
    digest = run(subset, tmp_path / "out", resnet_s_params, epochs=1)["model_sha256"]
    saved = tmp_path / "out" / "model.keras"

    Project(tmp_path, trained.environment | {"PYTHONPATH": ""}).run(
        "python", "-c", script, str(saved), str(subset / idx.file_name("test", "images"))
    )

    probabilities = np.load(tmp_path / "probabilities.npy")
    images, _ = idx.read_split(subset, "test")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(probabilities, predict(load_model(saved, digest), images, 100), atol=1e-5)


def test_a_loss_that_is_not_finite_stops_at_that_epoch_and_leaves_no_model(
    subset: Path, resnet_s_params: Params, tmp_path: Path
):
    with pytest.raises(TrainingError, match="not finite in epoch 1") as stopped:
        run(subset, tmp_path / "out", resnet_s_params, learning_rate=100.0, l2=1.0, warmup=0.0)

    assert "train.learning_rate" in stopped.value.hint
    assert not (tmp_path / "out").exists()


def test_data_that_failed_validation_or_is_other_data_is_not_trained_on(
    subset: Path, subset_params: Params, tmp_path: Path
):
    for verdict, version in (("failed", data_version(subset)), ("passed", "of-other-data.dir")):
        write_json(tmp_path / "validation.json", {"verdict": verdict, "data_version": version})
        with pytest.raises(ValidationError):
            train(
                data=subset,
                validation=tmp_path / "validation.json",
                out=tmp_path / "out",
                state=str(tmp_path / "state"),
                data_params=subset_params.data,
                model_params=subset_params.model,
                train_params=subset_params.train,
                on_epoch=lambda row: None,
            )
    assert not (tmp_path / "out").exists()


def test_the_key_of_a_run_depends_on_data_and_parameters_alone(
    subset: Path, real_data: Path, subset_params: Params
):
    def key(data: Path, epochs: int) -> str:
        settings = subset_params.train.model_copy(update={"epochs": epochs})
        return str(describe_run(data, subset_params.data, subset_params.model, settings)["run_key"])

    assert key(subset, 2) == key(subset, 2)
    assert len({key(subset, 2), key(subset, 3), key(real_data, 2)}) == 3


def test_the_key_of_a_run_depends_on_the_machine_too(
    subset: Path, subset_params: Params, monkeypatch: pytest.MonkeyPatch
):
    def keys() -> tuple[str, str]:
        found = describe_run(subset, subset_params.data, subset_params.model, subset_params.train)
        return found["run_key"], found["state_key"]

    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    one = keys()
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    two = keys()
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")

    assert one[0] != two[0]
    assert one[1] == two[1]
    assert keys() == one


HOSTILE = {
    "KERAS_BACKEND": "torch",
    "KERAS_MAX_EPOCHS": "1",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_USE_LEGACY_KERAS": "1",
}


@pytest.fixture
def hostile_home(tmp_path: Path) -> Path:
    """A home folder whose Keras settings are not ours."""
    settings = {"backend": "jax", "floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}
    home = tmp_path / "home"
    (home / ".keras").mkdir(parents=True)
    (home / ".keras/keras.json").write_text(json.dumps(settings))
    return home


def test_a_stopped_training_goes_on_to_the_same_weights_on_one_core_and_under_any_settings(
    project: Project, subset: Path, subset_params: Params, hostile_home: Path, tmp_path: Path
):
    whole = project.json("outputs/train/training.json")
    with pytest.raises(StoppedError):
        run(subset, tmp_path / "out", subset_params, stop_in_epoch_2)
    (tmp_path / "out-state").rename(project.root / "outputs/.training")
    script = (
        "import os, sys; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "sys.argv = ['fashion', 'step', 'train']; from pipeline.cli.main import main; main()"
    )

    result = project.run(sys.executable, "-c", script, environment=HOSTILE | {"HOME": str(hostile_home)})

    assert "going on after epoch 1 of 2" in result.stdout
    assert all(name in result.stderr for name in HOSTILE)
    resumed = project.json("outputs/train/training.json")
    for name in ("weights_digest", "run_key", "machines"):
        assert resumed[name] == whole[name]
