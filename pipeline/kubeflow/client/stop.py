"""Stopping a run: KFP terminates it, and where that does not end it, its Argo workflow is shut down.

A terminated run still runs its exit handler, and that may wait for an image without end.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from components.common.errors import ClusterError
from pipeline.kubeflow.client.api import FINAL_STATES, Kfp
from pipeline.kubeflow.client.observe import Observer, Snapshot
from pipeline.kubeflow.client.pods import Pod
from pipeline.kubeflow.client.progress import pod_label
from pipeline.kubeflow.client.workflow import shutdown_command

POLL_SECONDS = 3.0
STOP_SECONDS = 180.0
"""How long a run may take to end, exit handler included, once it is terminated or shut down."""
START_SECONDS = 30.0
"""How long a pod of such a run may be unable to start."""


def stop(kfp: Kfp, run_id: str, report: Callable[[str], None]) -> None:
    """Terminates a run, and waits until it has ended.

    Its workflow is shut down when a pod cannot start, or when after STOP_SECONDS no pod runs.

    Args:
        kfp: KFP's API.
        run_id: The run.
        report: Called with a message at each stage.

    Raises:
        ClusterError: There is no such run, it had ended before, it does not end, or the kubeconfig's user has
            no permission to shut its workflow down.
    """
    observer = Observer(kfp, run_id, report)
    workflow = observer.pods.workflow(run_id)
    ended_in_argo = workflow and workflow.final_state and kfp.run(run_id).state not in FINAL_STATES
    if not ended_in_argo:  # else KFP would show it as canceling for ever
        kfp.terminate(run_id)
        report("KFP ends the run; its exit handler runs to the end")
    started, shut_down = time.monotonic(), False
    while True:
        snapshot = observer.poll()
        if snapshot.ended:
            report("the run has ended")
            return
        workflow = snapshot.workflow
        active = workflow if workflow and not workflow.final_state else None
        late = time.monotonic() - started >= STOP_SECONDS
        blocked = observer.blocked_pod(snapshot.pods, START_SECONDS)
        if active and not shut_down and not active.has_running_pod and (blocked or late):
            reason = _reason(snapshot, blocked)
            if not observer.pods.shut_down(active):
                raise ClusterError(
                    f"{reason}, and your kubeconfig does not permit to shut its workflow down",
                    f"somebody with that permission can: {shutdown_command(kfp.namespace, run_id)}",
                )
            report(f"{reason}: Argo's workflow is shut down")
            started, shut_down = time.monotonic(), True
        elif late and (active or not workflow):
            raise ClusterError(
                f"the run has not ended after {STOP_SECONDS:g} s"
                + ("" if workflow else f"; it has no visible workflow in the namespace {kfp.namespace}"),
                f"wait on: fashion runs wait {run_id}; or shut its workflow down: "
                f"{shutdown_command(kfp.namespace, run_id)}",
            )
        time.sleep(POLL_SECONDS)


def _reason(snapshot: Snapshot, blocked: Pod | None) -> str:
    if blocked:
        return f"{pod_label(snapshot.run, blocked)} cannot start ({blocked.reason})"
    return "none of its pods runs"
