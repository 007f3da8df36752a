"""A run that goes the way of a recorded one, and what can be seen of it: changes of steps, messages, Argo."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.kubeflow.client import observe, wait
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.progress import StepState
from tests.support.kfp_fixtures import start_run
from tests.support.kfp_server import KfpServer, replay
from tests.support.kube_server import main_container

INNER = "root.exit-handler-1"
TRAIN = f"{INNER}.train.executor"
NO_NODE = "0/2 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) had untolerated taint {a: b}"
RUNNING = main_container("Running", running={})
OOM = main_container("Failed", terminated={"exitCode": 137, "reason": "OOMKilled"})


class WatchedRun:
    """A run that goes the way of a recorded one, from poll to poll."""

    def __init__(self, server: KfpServer, package: Path, recorded: str) -> None:
        server.recorded = recorded
        self.kfp = Kfp(server.url)
        arguments = {"n": 3, "candidates": ["x", "y"]} if recorded == "sweep" else {"n": 3}
        self.run_id = start_run(self.kfp, package, "name", "e", arguments).run_id
        self.changes: list[StepState] = []
        self.messages: list[str] = []

    def wait(
        self,
        timeout: float | None = None,
        max_unanswered_polls: int = 0,
        start_seconds: float = wait.START_SECONDS,
        grace_seconds: float = observe.GRACE_SECONDS,
    ) -> wait.FinishedRun:
        """Waits without a pause between two polls."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wait, "POLL_SECONDS", 0)
            patch.setattr(wait, "MAX_UNANSWERED_POLLS", max_unanswered_polls)
            patch.setattr(wait, "START_SECONDS", start_seconds)
            patch.setattr(observe, "GRACE_SECONDS", grace_seconds)
            return wait.wait_until_finished(
                self.kfp, self.run_id, self.changes.append, self.messages.append, timeout
            )

    @property
    def changed_states(self) -> list[str]:
        """The changes of state, in order."""
        return [f"{step.step} {step.state}" for step in self.changes]


def starts_and_ends(*steps: str) -> list[str]:
    """The changes of steps that start, run and are done, one after the other."""
    return [f"{step} {state}" for step in steps for state in ("starting", "running", "done")]


PASSED = starts_and_ends("ingest", "train", "gate", "register", "finish")


def argo_workflow(phase: str, recorded: str = "passed", now: int = 1000) -> dict[str, Any]:
    """The Argo workflow of a recorded run: its nodes are KFP's tasks, with Argo's phases."""
    phases = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "SKIPPED": "Skipped", "RUNNING": "Running"}
    nodes = {
        str(number): {
            "name": f"wf.{number}",
            "type": "DAG",
            "displayName": task["display_name"],
            "phase": phases.get(task.get("state", ""), "Omitted"),
            "startedAt": task["start_time"],
            "finishedAt": task["end_time"],
            "children": [child["pod_name"] for child in task.get("child_tasks", ())],
        }
        for number, task in enumerate(replay(recorded, now)["run_details"]["task_details"])
        if task.get("display_name")
    }
    times = {"startedAt": "2026-11-21T21:00:00Z", "finishedAt": None}
    if phase != "Running":
        times["finishedAt"] = "2026-11-21T21:01:25Z"
    return {"spec": {}, "status": {"phase": phase, "nodes": nodes, **times}}
