"""The Argo workflow of a run: what happens in the cluster, also when KFP's API does not know it.

KFP's tasks are copies of the workflow's nodes, made by its persistence agent: with a delay, or not at all.
"""

from __future__ import annotations

import re
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

GROUP = {"group": "argoproj.io", "version": "v1alpha1", "plural": "workflows"}
RUN_LABEL = "pipeline/runid"
SHUTDOWN = {"spec": {"shutdown": "Terminate"}}
"""The merge patch that ends a workflow with all its pods, exit handlers included."""
RUN_STATES = {"Succeeded": "SUCCEEDED", "Failed": "FAILED", "Error": "FAILED"}
TASK_STATES = RUN_STATES | {"Running": "RUNNING", "Pending": "PENDING", "Skipped": "SKIPPED"}
"""KFP's states for Argo's phases; KFP has none for a node that is omitted because another failed."""
_ERROR_PREFIX = r"^(task '[^']*' errored: |main: Error \(exit code \d+\)(: |$))"


@dataclass(frozen=True)
class Workflow:
    """An Argo workflow; `content` is the custom object."""

    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the custom object."""
        return str(self.content["metadata"]["name"])

    @property
    def run_id(self) -> str:
        """KFP's id of the run."""
        return str(self.content["metadata"].get("labels", {}).get(RUN_LABEL, ""))

    @property
    def final_state(self) -> str:
        """The state of an ended workflow, in KFP's words; empty while it runs."""
        return RUN_STATES.get(self._status.get("phase", ""), "")

    @property
    def stopped(self) -> bool:
        """Whether somebody ended it: KFP sets a deadline of 0 s, kubectl and `shut_down` a shutdown."""
        spec = self.content.get("spec", {})
        return bool(spec.get("shutdown")) or spec.get("activeDeadlineSeconds") == 0

    @property
    def pod_errors(self) -> dict[str, str]:
        """Argo's messages about pods that failed, were deleted or could not be created, by node name."""
        return {
            str(node["name"]).removeprefix(f"{self.name}."): re.sub(
                _ERROR_PREFIX, "", node.get("message", "")
            )
            for node in self._nodes
            if node.get("type") == "Pod" and node.get("phase") in ("Error", "Failed")
        }

    @property
    def has_running_pod(self) -> bool:
        """Whether one of its pods is running."""
        return any(node.get("type") == "Pod" and node.get("phase") == "Running" for node in self._nodes)

    def as_run(self, last_run: Any) -> Any:
        """The run as KFP's API would show it if it were up to date.

        Args:
            last_run: The run as KFP's API showed it last; with nothing but its id if it never did.
        """
        run = copy(last_run)
        run.state = self.final_state or last_run.state
        if self.stopped:
            run.state_history = [*(last_run.state_history or ()), SimpleNamespace(state="CANCELING")]
        run.created_at = last_run.created_at or _time(self._status.get("startedAt"))
        run.finished_at = _time(self._status.get("finishedAt")) or last_run.finished_at
        tasks = [_task(node) for node in self._nodes]
        if tasks:  # Argo stores the nodes of a large workflow elsewhere
            run.run_details = SimpleNamespace(task_details=tasks)
        return run

    @property
    def _status(self) -> dict[str, Any]:
        return self.content.get("status") or {}

    @property
    def _nodes(self) -> list[dict[str, Any]]:
        return list((self._status.get("nodes") or {}).values())


def shutdown_command(namespace: str, run_id: str) -> str:
    """The kubectl command that shuts the workflow of a run down."""
    workflow = f"$(kubectl -n {namespace} get workflow -l {RUN_LABEL}={run_id} -o name)"
    return (
        f'kubectl -n {namespace} patch {workflow} --type merge -p \'{{"spec":{{"shutdown":"Terminate"}}}}\''
    )


def _task(node: dict[str, Any]) -> Any:
    start = _time(node.get("startedAt"))
    return SimpleNamespace(
        display_name=node.get("displayName"),
        state=TASK_STATES.get(node.get("phase", "")),
        start_time=start,
        end_time=_time(node.get("finishedAt")) or start,
        child_tasks=[SimpleNamespace(pod_name=child) for child in node.get("children") or ()],
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
