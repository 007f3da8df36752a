"""The state of a run from KFP's API, its pods and its Argo workflow, as far as each can be read."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.kubeflow.client.api import FINAL_STATES, Kfp
from pipeline.kubeflow.client.connection import UnreachableError
from pipeline.kubeflow.client.pods import Pod, Pods
from pipeline.kubeflow.client.workflow import Workflow

GRACE_SECONDS = 30.0
"""How long KFP's API may show a run as running after Argo has ended it; then Argo's state is used."""


@dataclass(frozen=True)
class Snapshot:
    """A run at one moment.

    Args:
        run: As in KFP's API, or built from Argo's workflow. None: neither can be read.
        pods: Its pods, oldest first.
        workflow: Argo's workflow, if it can be read.
    """

    run: Any
    pods: list[Pod]
    workflow: Workflow | None

    @property
    def ended(self) -> bool:
        """Whether the run is in a final state."""
        return self.run is not None and self.run.state in FINAL_STATES


class Observer:
    """Reads the state of a run again and again.

    Args:
        kfp: KFP's API.
        run_id: The run.
        report: Called with a message when KFP's API stops or starts answering, or is overruled by Argo.
    """

    def __init__(self, kfp: Kfp, run_id: str, report: Callable[[str], None]) -> None:
        from kfp_server_api import V2beta1Run

        self.kfp, self.run_id, self.report = kfp, run_id, report
        self.pods = Pods(kfp.namespace)
        self.unanswered_polls = 0
        """Polls in a row in which neither KFP nor Argo's workflow could be read."""
        self.kfp_error: UnreachableError | None = None
        self._last_run: Any = V2beta1Run(run_id=run_id)
        self._argo_ended_at: float | None = None
        self._blocked_since: dict[str, float] = {}

    def poll(self) -> Snapshot:
        """Reads the run's state.

        Raises:
            ClusterError: There is no such run, or KFP refuses to show it.
        """
        self._poll_kfp()
        pods, workflow = self.pods.of_run(self.run_id), self.pods.workflow(self.run_id)
        self.unanswered_polls = self.unanswered_polls + 1 if self.kfp_error and not workflow else 0
        run: Any = None if self.kfp_error else self._last_run
        if workflow and not workflow.final_state:
            self._argo_ended_at = None  # the workflow may have been retried
            run = run or workflow.as_run(self._last_run)
        elif workflow and (run is None or run.state not in FINAL_STATES):
            now = time.monotonic()
            self._argo_ended_at = self._argo_ended_at or now
            if now - self._argo_ended_at >= GRACE_SECONDS:
                kfp_state = f"still says {run.state.lower()}" if run else "does not answer"
                self.report(f"Argo has ended the run ({workflow.final_state.lower()}), KFP's API {kfp_state}")
                run = workflow.as_run(self._last_run)
        return Snapshot(run, pods, workflow)

    def blocked_pod(self, pods: list[Pod], seconds: float) -> Pod | None:
        """The first of the pods that has been unable to start for so many seconds."""
        now = time.monotonic()
        for pod in pods:
            if not pod.cannot_start:
                self._blocked_since.pop(pod.name, None)
            elif now - self._blocked_since.setdefault(pod.name, now) >= seconds:
                return pod
        return None

    def _poll_kfp(self) -> None:
        try:
            self._last_run = self.kfp.run(self.run_id)
        except UnreachableError as error:
            if not self.kfp_error:
                self.report(f"{error}; waiting for it")
            self.kfp_error = error
            return
        if self.kfp_error:
            self.report("KFP's API answers again")
        self.kfp_error = None
