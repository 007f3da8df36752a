"""The Argo workflow of a run: what runs in the cluster.

KFP's tasks are the workflow's nodes, copied by KFP's persistence agent, which may be late or give up.
"""

from __future__ import annotations

import re
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
"""KFP's names of Argo's phases; a node that is left out because another failed has none."""
_PREFIX = r"^(task '[^']*' errored: |main: Error \(exit code \d+\)(: |$))"


@dataclass(frozen=True)
class Workflow:
    """A workflow, as Kubernetes returns it."""

    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the workflow."""
        return str(self.content["metadata"]["name"])

    @property
    def run_id(self) -> str:
        """Id of its run in KFP."""
        return str(self.content["metadata"].get("labels", {}).get(RUN_LABEL, ""))

    @property
    def end(self) -> str:
        """KFP's name of its final state; empty while it runs."""
        return RUN_STATES.get(self._status.get("phase", ""), "")

    @property
    def stopped(self) -> bool:
        """Whether it was stopped: KFP sets a deadline of 0, kubectl and `fashion runs stop` a shutdown."""
        spec = self.content.get("spec", {})
        return bool(spec.get("shutdown")) or spec.get("activeDeadlineSeconds") == 0

    @property
    def faults(self) -> dict[str, str]:
        """Argo's messages about pods that failed, were lost or could not be created, by node."""
        return {
            self._path(node): re.sub(_PREFIX, "", node.get("message", ""))
            for node in self._nodes
            if node.get("type") == "Pod" and node.get("phase") in ("Error", "Failed")
        }

    @property
    def has_running_pod(self) -> bool:
        """Whether one of its pods runs."""
        return any(node.get("type") == "Pod" and node.get("phase") == "Running" for node in self._nodes)

    def as_run(self, known: Any) -> Any:
        """The run in the form of KFP's API, with Argo's states.

        Args:
            known: The run as KFP's API showed it last; without a pipeline if it never did.
        """
        history = list(known.state_history or ())
        if self.stopped:
            history.append(SimpleNamespace(state="CANCELING"))
        tasks = [_task(node) for node in self._nodes]  # none if Argo stores many of them elsewhere
        return SimpleNamespace(
            run_id=known.run_id,
            state=self.end or known.state,
            state_history=history,
            created_at=known.created_at or _time(self._status.get("startedAt")),
            finished_at=_time(self._status.get("finishedAt")) or known.finished_at,
            pipeline_spec=known.pipeline_spec,
            runtime_config=known.runtime_config,
            run_details=SimpleNamespace(task_details=tasks) if tasks else known.run_details,
        )

    @property
    def _status(self) -> dict[str, Any]:
        return self.content.get("status") or {}

    @property
    def _nodes(self) -> list[dict[str, Any]]:
        return list((self._status.get("nodes") or {}).values())

    def _path(self, node: dict[str, Any]) -> str:
        return str(node["name"]).removeprefix(f"{self.name}.")


def shutdown_command(namespace: str, run_id: str) -> str:
    """The command that shuts the workflow of a run down."""
    found = f"$(kubectl -n {namespace} get workflow -l {RUN_LABEL}={run_id} -o name)"
    return f'kubectl -n {namespace} patch {found} --type merge -p \'{{"spec":{{"shutdown":"Terminate"}}}}\''


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
