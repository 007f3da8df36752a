"""kill -9 at random moments, two runs at once, and a clock that goes backwards."""

import random
import subprocess
from collections.abc import Iterator

from pipeline.steps import STEP_NAMES
from tests.faults.bench import Bench, Fault, Ran, Round, finish, kill_group, run, start


def kill(step: str) -> Fault:
    """kill -9 of a step, of `fashion step` or `dvc repro` in turn."""

    def fault(bench: Bench, rounds: int) -> Iterator[Round]:
        moments = random.Random(step)
        for number in range(rounds):
            project = bench.restore(step)
            command = ("fashion", "step", step) if number % 2 else ("dvc", "repro", "--single-item", step)
            process = start(project, *command)
            try:
                process.wait(moments.uniform(0, bench.seconds[step]))
            except subprocess.TimeoutExpired:
                kill_group(process)
            process.communicate()
            yield Round(project, Ran(process.returncode, "error: Killed"))

    return fault


KILLS = {f"kill -9 in {step}": kill(step) for step in STEP_NAMES}


def two_at_once(bench: Bench, rounds: int) -> Iterator[Round]:
    """Two `fashion run` (which is what `make run` calls) at the same time in one folder."""
    for _ in range(rounds):
        project = bench.restore("validate")
        first, second = start(project, "fashion", "run"), start(project, "fashion", "run")
        ended = finish(first), finish(second)
        yield Round(project, max(ended, key=lambda ran: ran.code))


CLOCK = """
import os, time
def behind(now, unit):
    return lambda: now() - unit * int(os.environ["BEHIND"])
time.time, time.time_ns = behind(time.time, 1), behind(time.time_ns, 10**9)
"""


def clock_backwards(bench: Bench, rounds: int) -> Iterator[Round]:
    """Each step's clock is an hour behind that of the step before it."""
    for _ in range(rounds):
        project = bench.restore("validate")
        (project.root / "sitecustomize.py").write_text(CLOCK)
        ran = Ran(0, "")
        for number, step in enumerate(STEP_NAMES):
            ran = run(project, "dvc", "repro", "--single-item", step, BEHIND=str(3600 * (number + 1)))
        (project.root / "sitecustomize.py").unlink()
        yield Round(project, ran)
