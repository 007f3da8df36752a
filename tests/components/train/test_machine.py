"""The machine, as far as it decides the weights."""

from pathlib import Path

import pytest

from components.train.machine import machines_until_the_end, this_machine
from components.train.state import pack_state, unpack_state
from pipeline.params import Params
from tests.support.project import Project
from tests.support.training import StoppedError, run, stop_in_epoch_2


def test_a_machine_is_known_by_what_decides_about_arithmetic(tmp_path: Path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\ncpu MHz\t\t: 2500.1\n"
        "flags\t\t: fpu avx2 fma aes avx512f\n\nprocessor\t: 1\nvendor_id\t: other\n"
    )

    machine = this_machine(tmp_path / "cpuinfo")

    assert machine["processor"].endswith(", vendor_id GenuineIntel, cpu family 6, model 85")
    assert machine["instructions"] == ["avx2", "avx512f", "fma"]
    assert machine["gpus"] == []


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
