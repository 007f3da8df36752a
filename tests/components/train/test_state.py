"""The state of an unfinished training in object storage, on a real S3 server."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common.errors import StorageError, TrainingError
from components.common.files import data_version, write_json
from components.common.storage import open_storage
from components.train.params import ModelParams
from components.train.step import train
from pipeline.params import Params
from tests.support.ports import free_port
from tests.support.s3_server import Proxy, S3Server, set_environment

pytest_plugins = ("tests.support.s3_server",)


class StoppedError(Exception):
    pass


@pytest.fixture
def run(subset: Path, subset_params: Params, tmp_path: Path) -> Any:
    """Trains the fastest model for three epochs, each time into a new folder."""
    write_json(tmp_path / "verdict.json", {"verdict": "passed", "data_version": data_version(subset)})
    numbers = iter(range(9))

    def call(state: str, on_epoch: Any = lambda row: None, **changes: Any) -> dict[str, Any]:
        return train(
            data=subset,
            validation=tmp_path / "verdict.json",
            out=tmp_path / f"out-{next(numbers)}",
            state=state,
            data_params=subset_params.data,
            model_params=ModelParams(name="mlp-128-64"),
            train_params=subset_params.train.model_copy(update={"epochs": 3, **changes}),
            on_epoch=on_epoch,
        )

    return call


def stop_in_epoch_2(row: dict[str, float]) -> None:
    if row["epoch"] == 2:  # the state of this epoch is not yet kept
        raise StoppedError


def test_a_stopped_training_goes_on_from_the_bucket_to_the_same_weights(
    run: Any, bucket: str, tmp_path: Path
):
    state = f"s3://{bucket}/state"
    whole = run(str(tmp_path / "state"))

    with pytest.raises(StoppedError):
        run(state, stop_in_epoch_2)
    assert open_storage(state).names() == [f"{whole['state_key']}.npz"]
    seen: list[float] = []
    resumed = run(state, lambda row: seen.append(row["epoch"]))

    assert seen == [2, 3]
    assert resumed["weights_digest"] == whole["weights_digest"]
    assert open_storage(state).names() == []


def test_a_damaged_state_in_the_bucket_is_not_used(run: Any, bucket: str):
    state = f"s3://{bucket}/state"
    with pytest.raises(StoppedError):
        run(state, stop_in_epoch_2)
    store = open_storage(state)
    (name,) = store.names()
    content = store.read(name)
    assert content
    with np.load(io.BytesIO(content)) as kept:
        assert '"epoch": 1' in str(kept["history"])
    store.write(name, content[: len(content) // 2])

    seen: list[float] = []
    run(state, lambda row: seen.append(row["epoch"]))

    assert seen == [1, 2, 3]


def test_storage_that_dies_while_training_costs_the_state_alone(
    run: Any,
    bucket: str,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr("components.common.s3.ATTEMPTS", 1)
    whole = run(str(tmp_path / "state"))
    capsys.readouterr()

    training = run(f"s3://{bucket}/state", lambda row: proxy.die() if row["epoch"] == 2 else None)

    assert training["weights_digest"] == whole["weights_digest"]
    said = [line.partition(":")[0] for line in capsys.readouterr().out.splitlines() if "state" in line]
    assert said == [
        "the state after epoch 2 is not kept, training goes on",
        "the state after epoch 3 is not kept, training goes on",
        "the state of this training is left behind",
    ]


def test_storage_that_cannot_be_read_is_known_before_the_training(
    run: Any, s3: S3Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("components.common.s3.ATTEMPTS", 1)
    with pytest.raises(StorageError, match="there is no such bucket"):
        run("s3://fashion-nowhere/state", pytest.fail)
    with (
        set_environment({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}),
        pytest.raises(StorageError, match="cannot be reached"),
    ):
        run("s3://fashion/state", pytest.fail)


def test_the_state_of_a_training_that_came_to_nothing_is_removed(run: Any, bucket: str):
    def spoil(row: dict[str, float]) -> None:
        raise TrainingError(f"the loss is not finite in epoch {row['epoch']}")

    state = f"s3://{bucket}/state"
    with pytest.raises(StoppedError):
        run(state, stop_in_epoch_2)
    assert open_storage(state).names() != []
    with pytest.raises(TrainingError, match="epoch 2"):
        run(state, spoil)

    assert open_storage(state).names() == []
