"""The trials of the recipe."""

import subprocess
import sys

import pytest

from tests.support.project import ROOT


def trial(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a trial on the project's data."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.recipe", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_trial_prints_its_row():
    arguments = (
        "model=resnet-xs epochs=2 train.proxy=0 train.validation_images=50000 train.erase=0.5 "
        "--widths 16,16,16 --strides 4"
    )
    result = trial(*arguments.split())

    cells = result.stdout.splitlines()[-1].split(" | ")
    assert cells[0] == f"| `{arguments}`"
    assert len(cells) == 8
    assert all(0.2 < float(cell.split(", ")[0]) < 1 for cell in cells[1:4])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["model=cnn-32", "--widths", "8,8,8"], 2, "for the resnet models"),
        (["--widths", "8,x,8"], 2, "write three whole numbers"),
        (["--widths", "8,8"], 2, "write three whole numbers"),
        (["train.epoch=2"], 3, "did you mean train.epochs?"),
    ],
)
def test_what_a_trial_cannot_change_is_refused(arguments: list[str], code: int, message: str):
    result = trial(*arguments)

    assert result.returncode == code
    assert message in result.stderr
