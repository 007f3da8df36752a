"""Time and memory of the steps (of training one epoch), DVC and the command line, on what `make run` left.

The steps run in a copy of the project, so that neither its outputs nor its runs change.
"""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from components.common.errors import PipelineError
from components.common.files import read_json

ROOT = Path(__file__).parents[1]
CODE = (
    "components",
    "pipeline",
    "fashion_pipeline.py",
    "data",
    "outputs",
    ".dvc",
    ".dvcignore",
    "dvc.yaml",
    "dvc.lock",
    "params.yaml",
    "data.dvc",
)
STEPS = ("validate", "evaluate", "gate", "register")


@dataclass(frozen=True)
class Cost:
    """What a command cost: wall and CPU seconds, and the peak memory of its largest process in MB."""

    wall: float
    cpu: float
    memory: float


def measure(root: Path, *command: str, expect: int = 0) -> Cost:
    """Runs a command in `root` and measures it with all its children.

    Raises:
        PipelineError: It did not end with the expected exit code.
    """
    environment = os.environ | {"PYTHONPATH": str(root), "DVC_NO_ANALYTICS": "1"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    # Peak memory is counted over all finished children, so each command gets a measuring process.
    script = (
        "import resource, subprocess, sys\n"
        "null = subprocess.DEVNULL\n"
        "code = subprocess.run(sys.argv[1:], stdout=null, stderr=null).returncode\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)\n"
        "sys.exit(code)"
    )
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-S", "-c", script, *command],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode != expect:
        raise PipelineError(f"`{' '.join(command)}` ended with {result.returncode}, not {expect}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, float(result.stdout))


def copy_project(root: Path) -> None:
    """Copies what the steps need."""
    for name in CODE:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source,
                root / name,
                ignore=shutil.ignore_patterns("__pycache__", "tmp", "cache", "config.local"),
            )
        else:
            shutil.copy(source, root / name)
    (root / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")


def main() -> None:
    """Prints the table."""
    read_json(ROOT / "outputs" / "train" / "training.json", "train")
    rows = []

    def row(name: str, cost: Cost) -> Cost:
        rows.append((name, f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{cost.memory:,.0f}"))
        return cost

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copy_project(root)
        for step in STEPS:
            row(f"fashion step {step}", measure(root, "fashion", "step", step))
        shutil.rmtree(root / "mlruns")
        forced = ("dvc", "repro", "--force", "--single-item")
        total = row("dvc repro, all steps but train", measure(root, *forced, *STEPS))
        # The copy's cache is empty, which DVC would take for a reason to train again.
        measure(root, "dvc", "commit", "--force", "data.dvc", "train")
        row("dvc repro, nothing changed", measure(root, "dvc", "repro"))
        row("fashion data, nothing changed", measure(root, "fashion", "data"))
        row("fashion --help", measure(root, "fashion", "--help"))
        text = (root / "params.yaml").read_text()
        (root / "params.yaml").write_text(text.replace("  epochs:\n", "  epochs: 1\n"))
        row("fashion step train, one epoch", measure(root, "fashion", "step", "train"))
        (root / "params.yaml").write_text(text.replace("epochs:", "epoch:"))
        row("fashion step train, wrong parameter", measure(root, "fashion", "step", "train", expect=3))
    print(
        tabulate(
            rows,
            ("command", "wall s", "CPU s", "peak MB"),
            disable_numparse=True,
            colalign=("left", "right", "right", "right"),
        )
    )
    print(f"\neverything but training: {total.wall:.1f} s on {os.cpu_count()} processors")


if __name__ == "__main__":
    try:
        main()
    except PipelineError as error:
        sys.exit(f"error: {error}\nwhat to do: {error.hint or '`make run` first'}")
