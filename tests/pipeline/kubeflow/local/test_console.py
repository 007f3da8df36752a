"""What `fashion run-local` makes of KFP's output: on the screen, and in its table of steps."""

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
from pipeline.kubeflow.local.runner import NO_REASON, Step, outcome, step_results
from pipeline.kubeflow.runtime.step_status import StepStatus

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
SPOKEN = [RECORDED[-4], "{", RECORDED[-2]]


@contextmanager
def narrating() -> Iterator[Console]:
    """A narrator in the place of stdout and of the log, as in a run."""
    root, print_ = logging.getLogger(), builtins.print
    handlers, level = root.handlers[:], root.level
    result = Console(io.StringIO(), io.StringIO())
    root.handlers[:] = [logging.StreamHandler(result)]  # type: ignore[type-var]
    root.setLevel(logging.INFO)
    root.addFilter(result.heed)
    try:
        with redirect_stdout(result):  # type: ignore[type-var]
            yield result
    finally:
        root.removeFilter(result.heed)
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


def screen(narrator: Console) -> list[str]:
    return narrator.screen.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_only_the_steps_own_words_reach_the_screen():
    with narrating() as narrator:
        execute("train", Status.SUCCESS)

    assert screen(narrator) == ["train ...", *(f"    {line}" for line in SPOKEN)]
    assert narrator.tasks == Tasks(begun=["train"], done=["train"])
    log = narrator.log.getvalue()  # type: ignore[attr-defined]
    assert [line for line in log.splitlines() if "schemaTitle" in line]


def test_two_steps_at_once_do_not_uncover_each_others_json():
    turns = Barrier(2, timeout=10)
    with narrating() as narrator, ThreadPoolExecutor() as pool:
        for future in [pool.submit(execute, "train", Status.SUCCESS, turns.wait) for _ in range(2)]:
            future.result()

    assert sorted(screen(narrator)) == sorted(2 * ["train ...", *(f"    {line}" for line in SPOKEN)])
    assert narrator.tasks == Tasks(begun=["train"] * 2, done=["train"] * 2)


def test_hits_and_failures_are_kept_apart():
    with narrating() as narrator:
        logging.info("Task ingest cache hit (key=64c988e3a7c1); skipping execution.")
        execute("gate", Status.FAILURE)

    assert screen(narrator)[:2] == ["ingest: from cache", "gate ..."]
    assert narrator.tasks == Tasks(hits=["ingest"], begun=["gate"])


def statuses_in(*notes: StepStatus) -> dict[str, StepStatus]:
    return {note.step: note for note in notes}


def done(step: str) -> StepStatus:
    return StepStatus(step, 0.0, "done", 2.0, f"{step}: well")


def ran(step: str) -> Step:
    return Step(step, "ran", 2.0, f"{step}: well")


CACHED = ["parameters", "ingest", "validate", "train", "evaluate"]
FROM_CACHE = [Step(name, "from cache") for name in CACHED]


def test_a_step_that_began_and_left_no_note_failed():
    tasks = Tasks(hits=CACHED, begun=["gate", "finish"], done=["finish"])

    steps = step_results("train", {}, tasks)

    assert steps == [*FROM_CACHE, Step("gate", "failed", line=NO_REASON), Step("register", "not run")]
    assert outcome(False, {}, steps) == f"failed in gate: {NO_REASON}"


def test_a_rejected_model_is_not_registered():
    notes = statuses_in(StepStatus("gate", 0.0, "done", 2.0, "gate: rejected: accuracy 0.1"))
    tasks = Tasks(CACHED, ["gate", "finish"], ["gate", "finish"])

    steps = step_results("train", notes, tasks)

    assert steps[5:] == [
        Step("gate", "ran", 2.0, "gate: rejected: accuracy 0.1"),
        Step("register", "skipped"),
    ]
    assert outcome(True, notes, steps) == "rejected: accuracy 0.1"


def test_the_step_that_left_a_reason_is_the_one_to_name():
    notes = statuses_in(
        done("parameters"), StepStatus("ingest", 0.0, "failed", 1.0, error="no remote", hint="name it")
    )
    tasks = Tasks([], ["parameters", "ingest", "finish"], ["parameters"])

    steps = step_results("train", notes, tasks)

    assert steps == [
        ran("parameters"),
        Step("ingest", "failed", 1.0, "no remote; what to do: name it"),
        *(Step(name, "not run") for name in ("validate", "train", "evaluate", "gate", "register")),
        Step("finish", "failed", line=NO_REASON),
    ]
    assert outcome(False, notes, steps) == "failed in ingest: no remote; what to do: name it"


def test_finish_is_named_where_it_alone_failed():
    notes = statuses_in(done("gate"), done("register"))
    tasks = Tasks(CACHED, ["gate", "register", "finish"], ["gate", "register"])

    steps = step_results("train", notes, tasks)

    assert steps == [*FROM_CACHE, ran("gate"), ran("register"), Step("finish", "failed", line=NO_REASON)]
    assert outcome(False, notes, steps) == f"failed in finish: {NO_REASON}"


def test_a_sweep_tells_how_many_trainings_the_cache_had():
    rest = ["select", "evaluate", "gate", "register"]
    begun = ["parameters", "plan", "train", *rest]
    notes = statuses_in(*map(done, ["parameters", "plan", "train train.epochs=2", *rest]))
    tasks = Tasks(["ingest", "validate", "train", "train"], begun, begun)

    assert step_results("sweep", notes, tasks) == [
        ran("parameters"),
        Step("ingest", "from cache"),
        ran("plan"),
        Step("validate", "from cache"),
        ran("train train.epochs=2"),
        Step("train", "from cache", line="2 of 3"),
        *map(ran, rest),
    ]


def test_a_sweeps_training_without_a_note_failed_beside_one_that_ran():
    tasks = Tasks(["parameters", "ingest", "plan", "validate"], ["train", "train"], ["train"])

    steps = step_results("sweep", statuses_in(done("train train.epochs=1")), tasks)

    assert steps[4:] == [
        ran("train train.epochs=1"),
        Step("train", "failed", line=NO_REASON),
        *(Step(name, "not run") for name in ("select", "evaluate", "gate", "register")),
    ]
