"""The states of a run's steps, from KFP's tasks and from the pods, as far as they can be read.

KFP's tasks are the nodes of an Argo workflow. A step `train` is a node of that name with a child `executor`,
its pod (with retries `executor(0)` and so on below that); a node `train-driver` comes before it and decides
whether it runs. KFP does not give a node's own id, only its children's; an id is a hash of a name.
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
    """The state of a step that has started, or that is skipped.

    Args:
        step: Name of the step; in a loop with the item, as in `train model.name=resnet-xs`.
        state: Its state.
        detail: Number of the attempt, from the second; why the step waits, does not start, or failed.
        seconds: Duration, if it has ended.
        path: Argo's name of its node.
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
        label: Name for people: in a loop with the item.
        path: Argo's name of its node, without the workflow's name.
        within: The conditions, loops and exit handlers around it.
        looped: Whether it is in a loop, so that several tasks have its name.
        retries: Number of retries.
    """

    task: str
    label: str
    path: str
    within: tuple[str, ...] = ()
    looped: bool = False
    retries: int = 0


def progress(run: Any, pods: Sequence[Pod] = ()) -> list[StepState]:
    """The steps of a run that have started or are skipped, in the pipeline's order."""
    all_tasks = (run.run_details and run.run_details.task_details) or ()
    tasks = [task for task in all_tasks if task.display_name and task.state]
    steps = steps_of(run)
    names = {step.task for step in steps}
    running = sum(task.display_name in names and task.state == "RUNNING" for task in tasks)
    pending = sum(task.display_name.startswith("executor") and task.state == "PENDING" for task in tasks)
    states = []
    for step in steps:
        attempts = sorted((pod for pod in pods if _is_attempt(pod, step)), key=_attempt)
        found = _state(step, tasks, attempts, "starting" if pending >= running else "running")
        if found:
            states.append(StepState(step.label, *found, path=step.path))
    return states


def describe(step: StepState) -> str:
    """A step's state in words."""
    words = {"waiting": "waiting for a node", "cached": "from cache"}.get(step.state, step.state)
    if step.state in ("done", "failed") and step.seconds:
        words = f"{words} after {step.seconds:.0f} s"
    detail = next(iter(step.detail.splitlines()), "")
    return f"{words}: {detail}" if detail else words


def steps_of(run: Any) -> list[Step]:
    """The steps of a run's pipeline, in topological order."""
    spec = run.pipeline_spec or {}
    spec = spec.get("pipeline_spec", spec)
    if "root" not in spec:
        return []
    inputs = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    parameters = {name: each.get("defaultValue") for name, each in inputs.items()}
    parameters |= (run.runtime_config and run.runtime_config.parameters) or {}
    return list(_steps(spec, spec["root"], Step("", "", "root"), parameters))


def pod_label(run: Any, pod: Pod) -> str:
    """The name of a pod for people: its step, or the last part of its node's name, as `train-driver`."""
    labels = (step.label for step in steps_of(run) if _is_attempt(pod, step))
    return next(labels, pod.path.rpartition(".")[2])


def was_stopped(run: Any) -> bool:
    """Whether a run was stopped; KFP shows it as failed."""
    history = [status.state for status in run.state_history or ()]
    return "CANCELED" in (run.state, *history) or "CANCELING" in (run.state, *history)


def _steps(spec: Spec, component: Spec, parent: Step, parameters: Spec) -> Iterator[Step]:
    tasks = component["dag"]["tasks"]
    order = {name: tasks[name].get("dependentTasks", ()) for name in sorted(tasks)}
    for name in TopologicalSorter(order).static_order():
        task, path = tasks[name], f"{parent.path}.{name}"
        if task.get("triggerPolicy", {}).get("strategy") == "ALL_UPSTREAM_TASKS_COMPLETED":
            path = f"{parent.path}.{task['dependentTasks'][0]}.onExit.{name}"
        inner = spec["components"][task["componentRef"]["name"]]
        step = replace(parent, task=name, label=f"{name} {parent.label}".strip(), path=path)
        if "dag" not in inner:
            yield replace(step, retries=int(task.get("retryPolicy", {}).get("maxRetryCount", 0)))
            continue
        group = replace(step, within=(*parent.within, name), label=parent.label)
        if "parameterIterator" not in task:
            yield from _steps(spec, inner, group, parameters)
            continue
        for number, item in enumerate(_items(task["parameterIterator"]["items"], parameters)):
            item_path = f"{path}.iteration-iterations({number}:{number}).iteration-item"
            yield from _steps(
                spec, inner, replace(group, path=item_path, label=str(item), looped=True), parameters
            )


def _items(items: Spec, parameters: Spec) -> list[Any]:
    """The items of a loop; for items that the step `plan` makes, the candidates."""
    given = parameters.get(items.get("inputParameter", "").removeprefix(_CHANNEL))
    if "raw" in items:
        given = json.loads(items["raw"])
    planned = given if isinstance(given, list) else parameters.get("candidates")
    return planned if isinstance(planned, list) else []


def _state(
    step: Step, tasks: list[Any], pods: list[Pod], without_pods: State
) -> tuple[State, str, float] | None:
    """State, detail and seconds of a step; None if it has no state yet."""
    if any(task.display_name in step.within and task.state == "SKIPPED" for task in tasks):
        return "skipped", "", 0.0
    task = _task(step, tasks)
    if task is None:
        return _before(step, tasks)
    seconds = (task.end_time - task.start_time).total_seconds()
    ends: dict[str, tuple[State, str, float]] = {
        "SKIPPED": ("skipped", "", 0.0),
        # Without a pod it begins and ends in the same second.
        "SUCCEEDED": ("done" if seconds else "cached", _attempt_text(pods), seconds),
        "FAILED": ("failed", _attempt_text(pods, pods[-1].reason) if pods else "", seconds),
    }
    return ends.get(task.state) or (*_underway(step, pods, without_pods), 0.0)


def _underway(step: Step, pods: list[Pod], without_pods: State) -> tuple[State, str]:
    """State and detail of a step that has started and not ended, from its last pod."""
    last = pods[-1] if pods else None
    if last and last.state == "failed" and _attempt(last) <= step.retries:
        return "starting", f"again, after: {last.reason or 'a failure'}"
    if last is None or last.state in ("done", "failed"):  # KFP's API will show it soon
        return without_pods, _attempt_text(pods)
    return last.state, _attempt_text(pods, last.reason)


def _attempt_text(pods: list[Pod], reason: str = "") -> str:
    """The number of the last attempt, from the second, and its reason."""
    number = _attempt(pods[-1]) if pods else 1
    return ": ".join(filter(None, (f"try {number}" if number > 1 else "", reason)))


def _attempt(pod: Pod) -> int:
    """The number of a pod's attempt, counted from 1."""
    found = re.search(r"\.executor\((\d+)\)$", pod.path)
    return int(found[1]) + 1 if found else 1


def _before(step: Step, tasks: list[Any]) -> tuple[State, str, float] | None:
    """The state of a step while its driver decides whether it runs."""
    drivers = [task for task in tasks if task.display_name == f"{step.task}-driver"]
    if step.looped or not drivers:
        return None
    if drivers[0].state == "FAILED":
        return "failed", "its driver failed", 0.0
    return "starting", "", 0.0


def _task(step: Step, tasks: list[Any]) -> Any:
    """The task of a step; in a loop, that of its iteration."""
    named = [task for task in tasks if task.display_name == step.task]
    if not step.looped:
        return named[0] if named else None
    for task in named:
        for child in task.child_tasks or ():
            workflow = child.pod_name.rpartition("-")[0]
            if child.pod_name == f"{workflow}-{_hash(f'{workflow}.{step.path}.executor')}":
                return task
    return None


def _is_attempt(pod: Pod, step: Step) -> bool:
    """Whether a pod is an attempt of the step."""
    return pod.path == f"{step.path}.executor" or pod.path.startswith(f"{step.path}.executor(")


def _hash(name: str) -> int:
    """Argo's hash of a node's name: FNV-1a of 32 bits."""
    value = 0x811C9DC5
    for byte in name.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
