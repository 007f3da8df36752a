"""Ending a run for certain: KFP asks Argo to, but its exit handler may wait for an image without end."""

from __future__ import annotations

import time
from collections.abc import Callable

from components.common.errors import ClusterError
from pipeline.kubeflow.client.api import ENDED, Kfp
from pipeline.kubeflow.client.observe import GRACE_SECONDS, Observer, View
from pipeline.kubeflow.client.pods import Pod
from pipeline.kubeflow.client.progress import pod_label
from pipeline.kubeflow.client.workflow import shutdown_command

POLL_SECONDS = 3.0
STOP_SECONDS = 180.0
"""How long a run may take to end, exit handler included, once it was asked to, or shut down."""
START_SECONDS = 30.0
"""How long a pod of such a run may be kept from starting; then the run is shut down."""


def stop(
    kfp: Kfp,
    run_id: str,
    say: Callable[[str], None],
    poll_seconds: float = POLL_SECONDS,
    stop_seconds: float = STOP_SECONDS,
    start_seconds: float = START_SECONDS,
    grace_seconds: float = GRACE_SECONDS,
) -> None:
    """Ends a run, and waits until it has ended.

    Where its pods cannot start, Argo's workflow is shut down, if the kubeconfig's user may do that.

    Args:
        kfp: The server.
        run_id: The run.
        say: Is told how far it is.
        poll_seconds: How long to wait between two looks.
        stop_seconds: How long it may take.
        start_seconds: How long one of its pods may be kept from starting.
        grace_seconds: How long KFP may be behind Argo with the run's end.

    Raises:
        ClusterError: There is no such run, it has ended before, or it does not end.
    """
    observer = Observer(kfp, run_id, say, grace_seconds)
    workflow = observer.pods.workflow(run_id)
    behind = workflow and workflow.end and kfp.run(run_id).state not in ENDED
    if not behind:  # KFP would show as canceling, for ever, what Argo has ended
        kfp.stop(run_id)
        say("KFP ends the run; its exit handler runs to the end")
    since, shut = time.monotonic(), False
    while True:
        view = observer.look()
        if view.ended:
            say("the run has ended")
            return
        open_ = view.workflow if view.workflow and not view.workflow.end else None
        late = time.monotonic() - since >= stop_seconds
        blocked = observer.blocked(view.pods, start_seconds)
        if open_ and not shut and not open_.has_running_pod and (blocked or late):
            if not observer.pods.shut_down(open_):
                raise ClusterError(
                    f"{_why(view, blocked)}, and your kubeconfig does not permit to shut its workflow down",
                    f"whoever may: {shutdown_command(kfp.namespace, run_id)}",
                )
            say(f"{_why(view, blocked)}: Argo's workflow is shut down")
            since, shut = time.monotonic(), True
        elif late and (open_ or not view.workflow):
            raise ClusterError(
                f"the run has not ended after {stop_seconds:g} s"
                + ("" if view.workflow else f"; no workflow of it is seen in the namespace {kfp.namespace}"),
                f"wait on: fashion runs wait {run_id}; or shut its workflow down: "
                f"{shutdown_command(kfp.namespace, run_id)}",
            )
        time.sleep(poll_seconds)


def _why(view: View, blocked: Pod | None) -> str:
    if blocked:
        return f"{pod_label(view.run, blocked)} cannot start ({blocked.reason})"
    return "none of its pods runs"
