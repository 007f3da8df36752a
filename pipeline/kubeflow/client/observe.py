"""A run as KFP's API, the pods and Argo's workflow show it together, where each of them answers."""

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

GRACE_SECONDS = 30.0
"""How long KFP's API may show a run as open that Argo has ended; then Argo is believed."""


@dataclass(frozen=True)
class View:
    """A run as it is now.

    Args:
        run: As KFP's API shows it, or would if it knew what Argo knows. None: nobody answers.
        pods: Its pods, the oldest first.
        workflow: Argo's workflow, where it can be seen.
    """

    run: Any
    pods: list[Pod]
    workflow: Workflow | None

    @property
    def ended(self) -> bool:
        """Whether the run does not change any more."""
        return self.run is not None and self.run.state in ENDED


class Observer:
    """Looks at a run again and again.

    Args:
        kfp: The server.
        run_id: The run.
        say: Is told when KFP's API is away, is back, or is not believed.
        grace_seconds: How long KFP's API may be behind Argo with a run's end.
    """

    def __init__(
        self, kfp: Kfp, run_id: str, say: Callable[[str], None], grace_seconds: float = GRACE_SECONDS
    ) -> None:
        self.kfp, self.run_id, self.say, self.grace = kfp, run_id, say, grace_seconds
        self.pods = Pods(kfp.namespace)
        self.silent = 0
        """Looks in a row in which nobody answered."""
        self.away: UnreachableError | None = None
        """Why KFP's API does not answer."""
        self._known: Any = SimpleNamespace(
            run_id=run_id,
            state="",
            state_history=(),
            created_at=None,
            finished_at=None,
            pipeline_spec=None,
            runtime_config=None,
            run_details=None,
        )
        self._over: float | None = None
        self._blocked: dict[str, float] = {}

    def look(self) -> View:
        """The run as it is now.

        Raises:
            ClusterError: There is no such run, or KFP refuses to show it.
        """
        away = self._ask()
        pods, workflow = self.pods.of_run(self.run_id), self.pods.workflow(self.run_id)
        self.silent = self.silent + 1 if away and not workflow else 0
        run: Any = None if away else self._known
        if workflow and not workflow.end:
            self._over = None  # somebody may have had Argo try it again
            run = run or workflow.as_run(self._known)
        elif workflow and workflow.end and (away or run.state not in ENDED):
            self._over = self._over or time.monotonic()
            if time.monotonic() - self._over >= self.grace:
                kfp_says = "does not answer" if away else f"still says {run.state.lower()}"
                self.say(f"Argo has ended the run ({workflow.end.lower()}), KFP's API {kfp_says}")
                run = workflow.as_run(self._known)
        return View(run, pods, workflow)

    def blocked(self, pods: list[Pod], seconds: float) -> Pod | None:
        """The first of the pods that something has kept from starting for so long.

        Args:
            pods: Those of the last look.
            seconds: How long.
        """
        now = time.monotonic()
        for pod in pods:
            if not pod.cannot_start:
                self._blocked.pop(pod.name, None)
            elif now - self._blocked.setdefault(pod.name, now) >= seconds:
                return pod
        return None

    def _ask(self) -> bool:
        """Asks KFP's API; returns whether it is away."""
        try:
            self._known = self.kfp.run(self.run_id)
        except UnreachableError as error:
            if not self.away:
                self.say(f"{error}; waiting for it")
            self.away = error
            return True
        if self.away:
            self.say("KFP's API answers again")
        self.away = None
        return False
