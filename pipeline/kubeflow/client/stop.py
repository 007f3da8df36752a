"""Stops a run for certain: KFP asks Argo to, but the exit handler may wait for its image without end."""

from __future__ import annotations

import time
from collections.abc import Callable

from components.common.errors import ClusterError
from pipeline.kubeflow.client.api import ENDED, Kfp
from pipeline.kubeflow.client.observe import Limits, Observer, RunView
from pipeline.kubeflow.client.pods import Pod
from pipeline.kubeflow.client.progress import pod_label
from pipeline.kubeflow.client.workflow import shutdown_command

LIMITS = Limits(start=30.0)


def stop(kfp: Kfp, run_id: str, notify: Callable[[str], None], limits: Limits = LIMITS) -> None:
    """Stops a run, and waits until it has ended.

    If its pods cannot start, its Argo workflow is shut down, as far as the kubeconfig's user may do that.

    Args:
        kfp: The server.
        run_id: The run.
        notify: Receives a line for each thing that was done.
        limits: How long to wait for what.

    Raises:
        ClusterError: There is no such run, it had ended already, or it does not end.
    """
    observer = Observer(kfp, run_id, notify, limits)
    workflow = observer.pods.workflow(run_id)
    ended_in_argo = workflow and workflow.end and kfp.run(run_id).state not in ENDED
    if not ended_in_argo:  # else KFP would show it as canceling for ever
        kfp.stop(run_id)
        notify("KFP ends the run; its exit handler runs to the end")
    since, shut_down = time.monotonic(), False
    while True:
        view = observer.poll()
        if view.ended:
            notify("the run has ended")
            return
        running = view.workflow if view.workflow and not view.workflow.end else None
        late = time.monotonic() - since >= limits.stop
        blocked = observer.blocked(view.pods)
        if running and not shut_down and not running.has_running_pod and (blocked or late):
            if not observer.pods.shut_down(running):
                raise ClusterError(
                    f"{_reason(view, blocked)}, and your kubeconfig does not permit to shut its workflow "
                    "down",
                    f"whoever may: {shutdown_command(kfp.namespace, run_id)}",
                )
            notify(f"{_reason(view, blocked)}: Argo's workflow is shut down")
            since, shut_down = time.monotonic(), True
        elif late and (running or not view.workflow):
            raise ClusterError(
                f"the run has not ended after {limits.stop:g} s"
                + ("" if view.workflow else f"; no workflow of it is seen in the namespace {kfp.namespace}"),
                f"wait on: fashion runs wait {run_id}; or shut its workflow down: "
                f"{shutdown_command(kfp.namespace, run_id)}",
            )
        time.sleep(limits.poll)


def _reason(view: RunView, blocked: Pod | None) -> str:
    if blocked:
        return f"{pod_label(view.run, blocked)} cannot start ({blocked.reason})"
    return "none of its pods runs"
