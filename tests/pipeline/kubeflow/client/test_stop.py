"""Ending a run: KFP asks Argo to, and where that does not do it, Argo's workflow is shut down."""

from pathlib import Path
from typing import Any

import pytest

from components.common.errors import ClusterError
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.stop import stop
from tests.support.json_server import Fault
from tests.support.kfp_fixtures import start_run
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import SHUTDOWN, KubeServer, main_container, unscheduled

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")

FINISH = "root.exit-handler-1.onExit.finish.executor"
NO_IMAGE = main_container("Pending", waiting={"reason": "ErrImagePull", "message": "not found"})


class Stopped:
    """A run that is ended."""

    def __init__(self, server: KfpServer, package: Path) -> None:
        self.kfp = Kfp(server.url)
        self.run_id = start_run(self.kfp, package, "name", "e", {"n": 3}).run_id
        server.looks[self.run_id] = [26]
        self.messages: list[str] = []

    def stop(self) -> None:
        """Stops it, without a pause between two polls."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.kubeflow.client.stop.POLL_SECONDS", 0)
            patch.setattr("pipeline.kubeflow.client.stop.STOP_SECONDS", 0.2)
            patch.setattr("pipeline.kubeflow.client.stop.START_SECONDS", 0)
            patch.setattr("pipeline.kubeflow.client.observe.GRACE_SECONDS", 0)
            stop(self.kfp, self.run_id, self.messages.append)

    @property
    def command(self) -> str:
        """What shuts its workflow down."""
        found = f"$(kubectl -n kubeflow get workflow -l pipeline/runid={self.run_id} -o name)"
        return f'kubectl -n kubeflow patch {found} --type merge -p \'{{"spec":{{"shutdown":"Terminate"}}}}\''


@pytest.fixture
def run(server: KfpServer, packages: dict[str, Path]) -> Stopped:
    return Stopped(server, packages["one"])


def test_run_that_ends_when_it_is_asked_to(server: KfpServer, kube: KubeServer, run: Stopped) -> None:
    run.stop()
    assert run.kfp.run(run.run_id).state == "FAILED"
    assert kube.calls_of("PATCH", "/wf") == []
    assert run.messages[-1] == "the run has ended"
    with pytest.raises(ClusterError, match="has ended") as caught:
        run.stop()
    assert caught.value.hint == "there is nothing to stop"


def test_run_whose_exit_handler_lacks_its_image_is_shut_down(
    server: KfpServer, kube: KubeServer, run: Stopped
) -> None:
    server.canceling = True
    kube.add_pod(FINISH, **NO_IMAGE)
    run.stop()
    assert [call.body for call in kube.calls_of("PATCH", "/wf")] == [SHUTDOWN]
    assert run.messages[1:] == [
        "finish cannot start (ErrImagePull: not found): Argo's workflow is shut down",
        "Argo has ended the run (failed), KFP's API still says canceling",
        "the run has ended",
    ]


@pytest.mark.parametrize("pods", [[], [unscheduled("0/2 nodes are available")]])
def test_run_of_which_nothing_runs_is_shut_down_in_the_end(
    server: KfpServer, kube: KubeServer, run: Stopped, pods: list[dict[str, Any]]
) -> None:
    server.canceling = True
    for status in pods:
        kube.add_pod(FINISH, **status)
    run.stop()
    assert len(kube.calls_of("PATCH", "/wf")) == 1
    assert run.messages[-1] == "the run has ended"


def test_exit_handler_that_runs_is_left_alone(server: KfpServer, kube: KubeServer, run: Stopped) -> None:
    server.canceling = True
    kube.workflow["status"]["nodes"] = {"a": {"name": f"wf.{FINISH}", "type": "Pod", "phase": "Running"}}
    with pytest.raises(ClusterError, match=r"has not ended after 0\.2 s") as caught:
        run.stop()
    assert kube.calls_of("PATCH", "/wf") == []
    assert f"fashion runs wait {run.run_id}" in caught.value.hint


def test_second_stop_goes_on_where_the_first_was_left(
    server: KfpServer, kube: KubeServer, run: Stopped
) -> None:
    server.canceling = True
    run.kfp.terminate(run.run_id)
    run.kfp.terminate(run.run_id)
    kube.add_pod(FINISH, **NO_IMAGE)
    run.stop()
    assert run.messages[-1] == "the run has ended"
    assert len(server.calls_of("POST", ":terminate")) == 1


def test_run_that_comes_to_its_end_while_it_is_stopped(server: KfpServer, run: Stopped) -> None:
    refusal = '{"code": 3, "message": "Row not found"}'
    server.faults.append(Fault(":terminate", 400, refusal))
    server.looks[run.run_id] = [26, 86]
    run.stop()
    assert run.messages[-1] == "the run has ended"
    server.looks[run.run_id] = [26]
    with pytest.raises(ClusterError, match="Row not found"):  # it goes on: this is a fault
        run.stop()


def test_command_is_named_where_the_user_may_not(server: KfpServer, kube: KubeServer, run: Stopped) -> None:
    server.canceling = True
    kube.add_pod(FINISH, **NO_IMAGE)
    kube.faults.append(Fault("/wf", 403, "{}"))
    with pytest.raises(ClusterError, match="finish cannot start") as caught:
        run.stop()
    assert run.command in caught.value.hint


def test_command_is_named_where_the_cluster_cannot_be_seen(server: KfpServer, run: Stopped) -> None:
    server.canceling = True
    with pytest.raises(ClusterError, match="it has no visible workflow") as caught:
        run.stop()
    assert run.command in caught.value.hint


def test_run_that_argo_has_ended_is_not_asked_to_end(
    server: KfpServer, kube: KubeServer, run: Stopped
) -> None:
    kube.workflow["status"]["phase"] = "Succeeded"
    run.stop()
    assert server.calls_of("POST", ":terminate") == []
    assert run.messages == [
        "Argo has ended the run (succeeded), KFP's API still says running",
        "the run has ended",
    ]
