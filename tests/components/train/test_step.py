"""Training: the stream of batches, the layers, determinism, and what stops it."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common import idx
from components.common.errors import TrainingError, ValidationError
from components.common.files import data_version, write_json
from components.common.saved_model import load_model, predict
from components.train.batches import training_batches
from components.train.fit import steps_per_epoch
from components.train.machine import machines_until_the_end, this_machine
from components.train.params import ModelParams
from components.train.precision import resolve
from components.train.settings import Settings
from components.train.state import pack_state, unpack_state
from components.train.step import describe_run, train
from pipeline.params import Params
from tests.support.project import Project


class StoppedError(Exception):
    pass


def stop_in_epoch_2(row: dict[str, float]) -> None:
    if row["epoch"] == 2:  # the state of this epoch is not yet kept
        raise StoppedError


def run(
    data: Path, out: Path, params: Params, on_epoch: Any = lambda row: None, **changes: Any
) -> dict[str, Any]:
    validation = out.parent / f"{out.name}-validation.json"
    write_json(validation, {"verdict": "passed", "data_version": data_version(data)})
    return train(
        data=data,
        validation=validation,
        out=out,
        state=str(out.parent / f"{out.name}-state"),
        data_params=params.data,
        model_params=params.model,
        train_params=params.train.model_copy(update=changes),
        on_epoch=on_epoch,
    )


@pytest.fixture
def house(subset_params: Params) -> Params:
    """The subset's parameters, for the default model."""
    return subset_params.model_copy(update={"model": ModelParams(name="resnet-s")})


def batches(images: idx.Bytes, labels: idx.Bytes, **options: Any) -> list[tuple[Any, Any]]:
    place: dict[str, Any] = {"first_epoch": 0, "steps": 4, "seed": 1}
    place |= {name: options.pop(name) for name in place.keys() & options.keys()}
    own = Settings(epochs=2, batch_size=8, optimizer="sgd", learning_rate=0.1)
    settings = own.override(options)
    return [(x.numpy(), y.numpy()) for x, y in training_batches(images, labels, 10, settings, **place)]


@pytest.fixture(scope="module")
def numbered() -> tuple[idx.Bytes, idx.Bytes]:
    """32 images of 2x2 pixels whose left column holds their number, and their labels."""
    images = np.zeros((32, 2, 2), np.uint8)
    images[:, :, 0] = np.arange(1, 33, dtype=np.uint8)[:, None]
    return images, (np.arange(32) % 10).astype(np.uint8)


def test_each_epoch_is_a_new_order_of_all_images(numbered: tuple[idx.Bytes, idx.Bytes]):
    images, labels = numbered
    stream = batches(images, labels)

    numbers = [int(n) for x, _ in stream for n in x[:, 0, 0]]
    first, second = numbers[:32], numbers[32:]
    assert sorted(first) == sorted(second) == list(range(1, 33))
    assert first != second
    for x, y in stream:
        np.testing.assert_array_equal(y.argmax(axis=1), labels[x[:, 0, 0] - 1])


def test_the_order_is_a_function_of_seed_and_epoch(numbered: tuple[idx.Bytes, idx.Bytes]):
    def order(**options: Any) -> list[int]:
        return [int(n) for x, _ in batches(*numbered, **options) for n in x[:, 0, 0]]

    assert order() == order()
    assert order(epochs=3)[:64] == order()
    assert order(seed=2) != order()


def test_flips_alternate_from_epoch_to_epoch(numbered: tuple[idx.Bytes, idx.Bytes]):
    stream = batches(*numbered, flip=True)
    mirrored = [
        {int(x.max()): bool(x[0, 1]) for batch, _ in stream[start : start + 4] for x in batch}
        for start in (0, 4)
    ]

    assert 0 < sum(mirrored[0].values()) < 32
    assert all(mirrored[0][number] != mirrored[1][number] for number in range(1, 33))


def test_an_epoch_is_the_same_whether_training_starts_at_it_or_comes_to_it(
    numbered: tuple[idx.Bytes, idx.Bytes],
):
    options: dict[str, Any] = {"epochs": 3, "flip": True, "shift": 1, "cutout": 1}
    whole, rest = batches(*numbered, **options), batches(*numbered, first_epoch=1, **options)

    for (x, y), (x_rest, y_rest) in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(x, x_rest)
        np.testing.assert_array_equal(y, y_rest)


def test_shifts_move_the_whole_image_by_up_to_so_many_pixels():
    images = np.zeros((4000, 5, 5), np.uint8)
    images[:, 2, 2] = 255
    ((shifted, _),) = batches(images, np.zeros(4000, np.uint8), epochs=1, steps=1, batch_size=4000, shift=2)

    places = np.argwhere(shifted == 255)
    assert len(places) == 4000
    found, counts = np.unique(places[:, 1:], axis=0, return_counts=True)
    assert found.tolist() == [[y, x] for y in range(5) for x in range(5)]
    assert counts.min() > 100  # 160 each, standard deviation 12.4


def test_cutout_sets_a_square_to_the_mean():
    images = np.full((500, 9, 9), 200, np.uint8)
    images[:250] = 0  # the mean is 100
    ((cut, _),) = batches(images, np.zeros(500, np.uint8), epochs=1, steps=1, batch_size=500, cutout=4)

    sizes = [(int(rows.any(axis=1).sum()), int(rows.any(axis=0).sum())) for rows in cut == 100]
    assert all(2 <= height <= 4 and 2 <= width <= 4 for height, width in sizes)
    assert (4, 4) in sizes
    assert all((image == 100).sum() == h * w for image, (h, w) in zip(cut, sizes, strict=True))


@pytest.mark.parametrize(
    ("batch_count", "expected"),
    [(429, (429, 39)), (431, (430, 43)), (1718, (1716, 52)), (107, (106, 53)), (10, (10, 10))],
)
def test_steps_are_whole_executions(batch_count: int, expected: tuple[int, int]):
    assert steps_per_epoch(batch_count) == expected


def test_the_fused_batch_normalisation_is_keras_own():
    import keras
    import tensorflow as tf

    from components.train.layers import FusedBatchNormalization

    x = tf.random.stateless_normal([16, 7, 7, 8], [1, 2]) * 3 + 1
    fused, plain = FusedBatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)

    np.testing.assert_allclose(fused(x, training=True), plain(x, training=True), atol=1e-5)
    unbiased = 16 * 49 / (16 * 49 - 1)
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, atol=1e-6)
    np.testing.assert_allclose(
        fused.moving_variance - 0.9, (plain.moving_variance - 0.9) * unbiased, rtol=1e-5
    )
    plain.set_weights(fused.get_weights())
    np.testing.assert_allclose(fused(x, training=False), plain(x, training=False), atol=1e-5)


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


def test_the_saved_model_needs_only_keras(trained: Project, subset: Path, house: Params, tmp_path: Path):
    script = (
        "import sys, numpy as np, keras\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "images = np.fromfile(sys.argv[2], np.uint8, offset=16).reshape(-1, 28, 28)\n"
        "p = model.predict(images, verbose=0)\n"
        "assert model.input.dtype == 'uint8' and p.dtype == np.float32, (model.input.dtype, p.dtype)\n"
        "assert not {'components', 'pipeline'} & sys.modules.keys()\n"
        "np.save('probabilities.npy', p)"
    )
    digest = run(subset, tmp_path / "out", house, epochs=1)["weights_digest"]
    saved = tmp_path / "out" / "model.keras"

    Project(tmp_path, trained.environment | {"PYTHONPATH": ""}).run(
        "python", "-c", script, str(saved), str(subset / idx.file_name("test", "images"))
    )

    probabilities = np.load(tmp_path / "probabilities.npy")
    images, _ = idx.read_split(subset, "test")
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(probabilities, predict(load_model(saved, digest), images, 100), atol=1e-5)


def test_a_loss_that_is_not_finite_stops_at_that_epoch_and_leaves_no_model(
    subset: Path, house: Params, tmp_path: Path
):
    with pytest.raises(TrainingError, match="not finite in epoch 1") as stopped:
        run(subset, tmp_path / "out", house, learning_rate=100.0, l2=1.0, warmup=0.0)

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


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2", "float32"),
        ("fpu avx512_bf16", "bfloat16"),
        ("fpu amx_bf16", "bfloat16"),
        (None, "float32"),
    ],
)
def test_precision_follows_the_processor(tmp_path: Path, flags: str | None, expected: str):
    if flags:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t\t: {flags}\n")

    assert resolve("auto", tmp_path / "cpuinfo") == expected
    assert resolve("float32", tmp_path / "cpuinfo") == "float32"


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


def test_a_machine_is_known_by_what_decides_about_arithmetic(tmp_path: Path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\ncpu MHz\t\t: 2500.1\n"
        "flags\t\t: fpu avx2 fma aes avx512f\n\nprocessor\t: 1\nvendor_id\t: other\n"
    )

    machine = this_machine(tmp_path / "cpuinfo")

    assert machine["processor"].endswith(", vendor_id GenuineIntel, cpu family 6, model 85")
    assert machine["instructions"] == ["avx2", "avx512f", "fma"]
    assert machine["gpus"] == []


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


def test_a_training_that_goes_on_on_another_kind_of_machine_does_not_pass_as_undisturbed(
    subset: Path, subset_params: Params, tmp_path: Path, trained: Project, capsys: pytest.CaptureFixture[str]
):
    whole = trained.json("outputs/train/training.json")
    with pytest.raises(StoppedError):
        run(subset, tmp_path / "out", subset_params, stop_in_epoch_2)
    (kept,) = (tmp_path / "out-state").iterdir()
    history, (machine,), variables = unpack_state(kept.read_bytes())
    other = machine | {"processor": "another", "threads": 64}
    kept.write_bytes(pack_state(history, [other], variables))

    resumed = run(subset, tmp_path / "out", subset_params)

    assert resumed["machines"] == [other, machine | {"first_epoch": 2}]
    assert resumed["run_key"] != whole["run_key"]
    assert "not be bit for bit" in capsys.readouterr().out
    assert not list((tmp_path / "out-state").iterdir())


def test_a_training_whose_epochs_are_all_kept_is_of_the_machine_that_made_them():
    kept = [{"first_epoch": 1} | this_machine() | {"processor": "another"}]

    assert machines_until_the_end(kept, 2, 2) == kept
    assert machines_until_the_end(kept, 1, 2) == [*kept, {"first_epoch": 2} | this_machine()]
