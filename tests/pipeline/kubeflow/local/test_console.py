"""What `fashion run-local` shows of KFP's output."""

import builtins
import io
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from threading import Barrier

from kfp.local import logging_utils
from kfp.local.status import Status

from pipeline.kubeflow.local.console import Console, Tasks

RECORDED = """\
[KFP Executor 2026-11-21 22:59:47,584 INFO]: Loading KFP component "train" from ephemeral_component.py
[KFP Executor 2026-11-21 22:59:47,586 INFO]: Got executor_input:
{
    "inputs": {
        "artifacts": {
            "data": {
                "artifacts": [
                    {
                        "name": "data",
                        "type": {
                            "schemaTitle": "system.Dataset",
                            "schemaVersion": "0.0.1"
                        },
                        "metadata": {
                            "data_version": "e32703f5a63edd950dbb036f20568a82.dir"
                        }
                    }
                ]
            },
            "validation": {
                "artifacts": [
                    {
                        "name": "validation",
                        "metadata": {}
                    }
                ]
            }
        },
        "parameterValues": {
            "candidates": [],
            "params": "{\\"candidate\\": \\"train.epochs=1\\", \\"data\\": {\\"width\\": 28}}"
        }
    },
    "outputs": {
        "outputFile": "outputs/train/executor_output.json"
    }
}
epoch 1/1  loss 1.5077  accuracy 0.5151  val_loss 0.9542  val_accuracy 0.6500
{
trained: validation accuracy 0.6500, weights 3a3875f797e9
[KFP Executor 2026-11-21 23:00:00,868 INFO]: Wrote executor output file to executor_output.json.
""".splitlines()
"""What a training's process printed in KFP's local runner, shortened. The last brace is a step's own."""
STEP_OUTPUT = [RECORDED[-4], "{", RECORDED[-2]]


@contextmanager
def capturing() -> Iterator[Console]:
    """A console in the place of stdout and of the log, as in a run."""
    root, print_ = logging.getLogger(), builtins.print
    handlers, level = root.handlers[:], root.level
    result = Console(io.StringIO(), io.StringIO())
    root.handlers[:] = [logging.StreamHandler(result)]  # type: ignore[type-var]
    root.setLevel(logging.INFO)
    root.addFilter(result.filter_record)
    try:
        with redirect_stdout(result):  # type: ignore[type-var]
            yield result
    finally:
        root.removeFilter(result.filter_record)
        root.handlers[:] = handlers
        root.setLevel(level)
        builtins.print = print_  # KFP's threads leave it indented


def execute(name: str, status: Status, wait: Callable[[], object] = lambda: None) -> None:
    """Says what KFP says of a task, by KFP's own means: see task_dispatcher.py there."""
    task = logging_utils.format_task_name(name)
    with logging_utils.local_logger_context():
        logging.info(f"Executing task {task}")
        logging.info("Streamed logs:\n")
        with logging_utils.indented_print():
            for line in RECORDED:
                wait()
                print(line)
            print("\n")
        level = logging.INFO if status == Status.SUCCESS else logging.ERROR
        logging.log(level, f"Task {task} finished with status {logging_utils.format_status(status)}")
        logging.info(f"Task {task} outputs:\n    trained: Model( name='trained',")
        logging_utils.print_horizontal_line()


def screen(console: Console) -> list[str]:
    return console.screen.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_only_the_output_of_the_step_reaches_the_screen():
    with capturing() as console:
        execute("train", Status.SUCCESS)

    assert screen(console) == ["train ...", *(f"    {line}" for line in STEP_OUTPUT)]
    assert console.tasks == Tasks(started=["train"], succeeded=["train"])
    log = console.log.getvalue()  # type: ignore[attr-defined]
    assert [line for line in log.splitlines() if "schemaTitle" in line]


def test_two_steps_at_once_do_not_uncover_each_others_json():
    turns = Barrier(2, timeout=10)
    with capturing() as console, ThreadPoolExecutor() as pool:
        for future in [pool.submit(execute, "train", Status.SUCCESS, turns.wait) for _ in range(2)]:
            future.result()

    assert sorted(screen(console)) == sorted(2 * ["train ...", *(f"    {line}" for line in STEP_OUTPUT)])
    assert console.tasks == Tasks(started=["train"] * 2, succeeded=["train"] * 2)


def test_hits_and_failures_are_kept_apart():
    with capturing() as console:
        logging.info("Task ingest cache hit (key=64c988e3a7c1); skipping execution.")
        execute("gate", Status.FAILURE)

    assert screen(console)[:2] == ["ingest: from cache", "gate ..."]
    assert console.tasks == Tasks(cached=["ingest"], started=["gate"])
