"""The state of a run, from KFP's API, the run's pods and its Argo workflow, as far as each answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from pipeline.kubeflow.client.api import ENDED, Kfp
from pipeline.kubeflow.client.connection import UnreachableError
from pipeline.kubeflow.client.pods import Pod, Pods
from pipeline.kubeflow.client.workflow import Workflow


@dataclass(frozen=True)
class Limits:
    """How long to wait for what.

    Args:
        poll: Seconds between two polls.
        patience: Polls in a row without an answer after which waiting is given up.
        start: Seconds that a pod may be kept from starting, for example by an image that cannot be pulled.
        grace: Seconds that KFP's API may show a run as running that Argo has ended.
        stop: Seconds that a run may take to end, exit handler included, after it was stopped.
    """

    poll: float = 3.0
    patience: int = 40
    start: float = 180.0
    grace: float = 30.0
    stop: float = 180.0


@dataclass(frozen=True)
class RunView:
    """The state of a run at one moment.

    Args:
        run: The run as KFP's API shows it, or as Argo's workflow says. None: neither answers.
        pods: The run's pods, the oldest first.
        workflow: Argo's workflow, if it can be read.
    """

    run: Any
    pods: list[Pod]
    workflow: Workflow | None

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.run is not None and self.run.state in ENDED


class Observer:
    """Polls a run.

    Args:
        kfp: The server.
        run_id: The run.
        notify: Receives a line when KFP's API stops or starts to answer, or is behind Argo.
        limits: How long to wait.
    """

    def __init__(
        self, kfp: Kfp, run_id: str, notify: Callable[[str], None], limits: Limits | None = None
    ) -> None:
        self.kfp, self.run_id, self.notify, self.limits = kfp, run_id, notify, limits or Limits()
        self.pods = Pods(kfp.namespace)
        self.silent_polls = 0
        self.unreachable: UnreachableError | None = None
        """Why KFP's API does not answer."""
        self._last_run: Any = SimpleNamespace(
            run_id=run_id,
            state="",
            **dict.fromkeys(("created_at", "finished_at", "pipeline_spec", "runtime_config", "run_details")),
            state_history=(),
        )
        self._ended_since: float | None = None
        self._blocked_since: dict[str, float] = {}

    def poll(self) -> RunView:
        """Reads the state of the run.

        Raises:
            ClusterError: There is no such run, or KFP refuses to show it.
        """
        self._ask_kfp()
        away = self.unreachable is not None
        pods, workflow = self.pods.of_run(self.run_id), self.pods.workflow(self.run_id)
        self.silent_polls = self.silent_polls + 1 if away and not workflow else 0
        run: Any = None if away else self._last_run
        if workflow and not workflow.end:
            self._ended_since = None  # Argo may have been asked to retry it
            run = run or workflow.as_run(self._last_run)
        elif workflow and (away or run.state not in ENDED):
            self._ended_since = self._ended_since or time.monotonic()
            if time.monotonic() - self._ended_since >= self.limits.grace:
                kfp_says = "does not answer" if away else f"still says {run.state.lower()}"
                self.notify(f"Argo has ended the run ({workflow.end.lower()}), KFP's API {kfp_says}")
                run = workflow.as_run(self._last_run)
        return RunView(run, pods, workflow)

    def blocked(self, pods: list[Pod]) -> Pod | None:
        """The first of the pods that has been kept from starting for too long."""
        now = time.monotonic()
        for pod in pods:
            if not pod.cannot_start:
                self._blocked_since.pop(pod.name, None)
            elif now - self._blocked_since.setdefault(pod.name, now) >= self.limits.start:
                return pod
        return None

    def _ask_kfp(self) -> None:
        try:
            self._last_run = self.kfp.run(self.run_id)
        except UnreachableError as error:
            if not self.unreachable:
                self.notify(f"{error}; waiting for it")
            self.unreachable = error
            return
        if self.unreachable:
            self.notify("KFP's API answers again")
        self.unreachable = None
