"""The state of each step of a run, from KFP's tasks, and from the pods where they can be read.

KFP's tasks are the nodes of an Argo workflow. A step `train` is a node of that name with the child
`executor`, its pod (with retries `executor(0)` and so on below that). The node `train-driver` comes first and
decides whether the step runs. KFP's API gives the ids of a node's children, not its own; an id ends with a
hash of the node's name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any, Literal

from pipeline.kubeflow.client.pods import Pod

State = Literal["waiting", "starting", "running", "cached", "done", "skipped", "failed"]
Spec = dict[str, Any]
_CHANNEL = "pipelinechannel--"


@dataclass(frozen=True)
class StepState:
    """The state of a step that has started, or is known not to.

    Args:
        step: Name of the step; in a loop with the item, as in `train model.name=resnet-xs`.
        state: `cached` is served from the cache, `skipped` by a condition.
        detail: The number of the try, from the second, and why the step waits, does not start, or failed.
        seconds: Duration, once it has ended.
        path: Argo's name of its node, without the workflow's.
    """

    step: str
    state: State
    detail: str = ""
    seconds: float = 0.0
    path: str = ""


@dataclass(frozen=True)
class Step:
    """A step of the pipeline.

    Args:
        task: Name of the task in the pipeline.
        label: Name of the step; in a loop with the item.
        path: Argo's name of its node, without the workflow's.
        groups: The conditions, loops and exit handlers around it.
        looped: Whether a loop is among these.
        retries: How often it is retried.
    """

    task: str
    label: str
    path: str
    groups: tuple[str, ...] = ()
    looped: bool = False
    retries: int = 0


def progress(run: Any, pods: Sequence[Pod] = ()) -> list[StepState]:
    """The states of the steps that have started, or are known not to, in the pipeline's order."""
    all_tasks = (run.run_details and run.run_details.task_details) or ()
    tasks = [task for task in all_tasks if task.display_name and task.state]
    steps = steps_of(run)
    names = {step.task for step in steps}
    running = sum(task.display_name in names and task.state == "RUNNING" for task in tasks)
    pending = sum(task.display_name.startswith("executor") and task.state == "PENDING" for task in tasks)
    states = []
    for step in steps:
        pods_of_step = sorted((pod for pod in pods if _belongs_to(pod, step)), key=_try_number)
        state = _state(step, tasks, pods_of_step, "starting" if pending >= running else "running")
        if state:
            states.append(StepState(step.label, *state, path=step.path))
    return states


def describe(step: StepState) -> str:
    """The state of a step as text."""
    text = {"waiting": "waiting for a node", "cached": "from cache"}.get(step.state, step.state)
    if step.state in ("done", "failed") and step.seconds:
        text = f"{text} after {step.seconds:.0f} s"
    detail = next(iter(step.detail.splitlines()), "")
    return f"{text}: {detail}" if detail else text


def steps_of(run: Any) -> list[Step]:
    """The steps of a run's pipeline, in an order in which they can run."""
    spec = run.pipeline_spec or {}
    spec = spec.get("pipeline_spec", spec)
    if "root" not in spec:
        return []
    inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    arguments = {name: parameter.get("defaultValue") for name, parameter in inputs.items()}
    arguments |= (run.runtime_config and run.runtime_config.parameters) or {}
    return list(_steps(spec, spec["root"], Step("", "", "root"), arguments))


def pod_label(run: Any, pod: Pod) -> str:
    """The step of a pod; of a pod that runs no step the last part of its node's name, as `train-driver`."""
    labels = (step.label for step in steps_of(run) if _belongs_to(pod, step))
    return next(labels, pod.path.rpartition(".")[2])


def was_stopped(run: Any) -> bool:
    """Whether somebody terminated a run; KFP's final state for that is FAILED."""
    states = (run.state, *(status.state for status in run.state_history or ()))
    return "CANCELED" in states or "CANCELING" in states


def _steps(spec: Spec, component: Spec, parent: Step, arguments: Spec) -> Iterator[Step]:
    tasks = component["dag"]["tasks"]
    dependencies = {name: tasks[name].get("dependentTasks", ()) for name in sorted(tasks)}
    for name in TopologicalSorter(dependencies).static_order():
        task, path = tasks[name], f"{parent.path}.{name}"
        if task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED":
            path = f"{parent.path}.{task['dependentTasks'][0]}.onExit.{name}"
        inner = spec["components"][task["componentRef"]["name"]]
        step = replace(parent, task=name, label=f"{name} {parent.label}".strip(), path=path)
        if "dag" not in inner:
            yield replace(step, retries=int(task.get("retryPolicy", {}).get("maxRetryCount", 0)))
            continue
        group = replace(step, groups=(*parent.groups, name), label=parent.label)
        if "parameterIterator" not in task:
            yield from _steps(spec, inner, group, arguments)
            continue
        for number, item in enumerate(_items(task["parameterIterator"]["items"], arguments)):
            path_of_item = f"{path}.iteration-iterations({number}:{number}).iteration-item"
            group = replace(group, path=path_of_item, label=str(item), looped=True)
            yield from _steps(spec, inner, group, arguments)


def _items(items: Spec, arguments: Spec) -> list[Any]:
    """The items of a loop; where a step makes them from the candidates, the candidates."""
    value = arguments.get(items.get("inputParameter", "").removeprefix(_CHANNEL))
    if "raw" in items:
        value = json.loads(items["raw"])
    if not isinstance(value, list):
        value = arguments.get("candidates")
    return value if isinstance(value, list) else []


def _state(
    step: Step, tasks: list[Any], pods: list[Pod], without_pods: State
) -> tuple[State, str, float] | None:
    """State, detail and seconds of a step; None while it is not known whether it runs."""
    if any(task.display_name in step.groups and task.state == "SKIPPED" for task in tasks):
        return "skipped", "", 0.0
    task = _task(step, tasks)
    if task is None:
        return _state_by_driver(step, tasks)
    seconds = (task.end_time - task.start_time).total_seconds()
    final: dict[str, tuple[State, str, float]] = {
        "SKIPPED": ("skipped", "", 0.0),
        # A cached step has no pod, so it starts and ends in the same second.
        "SUCCEEDED": ("done" if seconds else "cached", _detail(pods), seconds),
        "FAILED": ("failed", _detail(pods, pods[-1].reason) if pods else "", seconds),
    }
    return final.get(task.state) or (*_state_by_pod(step, pods, without_pods), 0.0)


def _state_by_pod(step: Step, pods: list[Pod], without_pods: State) -> tuple[State, str]:
    """State and detail of a step that has started and not ended, by its last pod."""
    last = pods[-1] if pods else None
    if last and last.state == "failed" and _try_number(last) <= step.retries:
        return "starting", f"again, after: {last.reason or 'a failure'}"
    if last is None or last.state in ("done", "failed"):  # KFP's task will soon show the end
        return without_pods, _detail(pods)
    return last.state, _detail(pods, last.reason)


def _state_by_driver(step: Step, tasks: list[Any]) -> tuple[State, str, float] | None:
    """State, detail and seconds of a step whose driver decides whether it runs."""
    driver = next((task for task in tasks if task.display_name == f"{step.task}-driver"), None)
    if step.looped or driver is None:
        return None
    if driver.state == "FAILED":
        return "failed", "its driver failed", 0.0
    return "starting", "", 0.0


def _detail(pods: list[Pod], reason: str = "") -> str:
    number = _try_number(pods[-1]) if pods else 1
    return ": ".join(filter(None, (f"try {number}" if number > 1 else "", reason)))


def _try_number(pod: Pod) -> int:
    """Which try of its step a pod is; earlier pods may be deleted, so they cannot be counted."""
    found = re.search(r"\.executor\((\d+)\)$", pod.path)
    return int(found[1]) + 1 if found else 1


def _task(step: Step, tasks: list[Any]) -> Any:
    """The task of a step; in a loop the one of its item, found by the id of its pod."""
    named = [task for task in tasks if task.display_name == step.task]
    if not step.looped:
        return named[0] if named else None
    for task in named:
        for child in task.child_tasks or ():
            workflow = child.pod_name.rpartition("-")[0]
            if child.pod_name == f"{workflow}-{_hash(f'{workflow}.{step.path}.executor')}":
                return task
    return None


def _belongs_to(pod: Pod, step: Step) -> bool:
    return pod.path == f"{step.path}.executor" or pod.path.startswith(f"{step.path}.executor(")


def _hash(name: str) -> int:
    """Argo's hash of a node's name: FNV-1a, 32 bits."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
