"""The deploy step, against an API server of Kubernetes whose controller acts between two looks."""

from typing import Any

import pytest
from kubernetes.client import ApiClient, Configuration

from components.common.errors import ClusterError, PipelineError
from components.deploy import step
from components.deploy.step import Target, deploy
from components.registry.registry import GATE_TAG, WEIGHTS_TAG, WITHDRAWN_TAG, Registry
from tests.support.json_server import Call, Fault, serving
from tests.support.kube_deployment import (
    DEPLOYMENT,
    PODS,
    PREVIOUS,
    SERVED,
    DeploymentServer,
    condition,
    ended,
)
from tests.support.registry_model import RegistryModel

TARGET = Target("fashion", "serving")


@pytest.fixture
def registry() -> Registry:
    """Three versions that passed the gate: the champion is the third."""
    model: Any = RegistryModel()
    registry = Registry(model, "fashion-mnist")
    registry.create("fashion-mnist")
    for number in (1, 2, 3):
        model.create_model_version("fashion-mnist", "s", tags={WEIGHTS_TAG: f"{number}", GATE_TAG: "passed"})
    model.set_registered_model_alias("fashion-mnist", "champion", "3")
    return registry


def roll(registry: Registry, server: DeploymentServer) -> str:
    """Runs the step while the server runs."""
    with serving(server):
        configuration = Configuration(host=server.url)
        configuration.retries = False
        return deploy(registry, TARGET, ApiClient(configuration), poll_seconds=0)


def patches(server: DeploymentServer) -> list[Any]:
    """What was asked to be served, in order."""
    return [
        call.body["spec"]["template"]["metadata"]["annotations"][SERVED]
        for call in server.calls_of("PATCH", DEPLOYMENT)
    ]


@pytest.mark.parametrize(("served", "before"), [("1", ", before version 1"), (None, "")])
def test_a_new_champion_is_rolled_out_and_waited_for(registry: Registry, served: str | None, before: str):
    server = DeploymentServer(served)
    assert roll(registry, server) == f"fashion/serving serves version 3{before}"
    assert server.template == {SERVED: "3"}
    assert server.updated == 2
    assert patches(server) == ["3"]


def test_nothing_is_done_if_the_champion_is_served(registry: Registry):
    server = DeploymentServer("3")
    assert roll(registry, server) == "fashion/serving serves version 3 already"
    assert {call.method for call in server.calls} == {"GET"}


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (
            ended("a warning\nerror: model.keras has the SHA-256 12…\nwhat to do: run it"),
            "model.keras has the SHA-256 12…",
        ),
        (ended("a warning\nkilled"), "Error (exit code 1): killed"),
        (
            ended("I tensorflow/core: optimized", "OOMKilled", 137),
            "OOMKilled (exit code 137): I tensorflow/core: optimized",
        ),
        (ended("\n"), "Error (exit code 1)"),
        (
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}},
            "ImagePullBackOff: no such image",
        ),
    ],
)
@pytest.mark.parametrize("served", ["1", None])
def test_a_version_that_does_not_get_ready_is_rolled_back(
    registry: Registry, reason: dict[str, Any], text: str, served: str | None
):
    server = DeploymentServer(served, ("3",), reason)
    with pytest.raises(ClusterError, match="version 3 did not get ready in fashion/serving: ") as raised:
        roll(registry, server)
    assert f": {text}; " in str(raised.value)
    assert ("`fashion rollback`" in raised.value.hint) == (served is None)  # whose new pods take the champion
    assert patches(server) == ["3", served]
    assert server.template == ({SERVED: served} if served else {})


def test_a_failure_of_an_earlier_rollout_does_not_count(registry: Registry):
    server = DeploymentServer("1", ("2",))
    server.conditions = [condition("ProgressDeadlineExceeded", 1)]
    assert roll(registry, server).startswith("fashion/serving serves version 3")


@pytest.mark.parametrize("broken", [(), ("3",)])
def test_a_step_that_was_killed_goes_on(registry: Registry, broken: tuple[str, ...]):
    server = DeploymentServer("3", broken, ended("killed"))
    server.updated, server.annotations = 0, {PREVIOUS: "2"}
    if broken:  # the deadline had passed when the step was killed
        server.conditions = [condition("ProgressDeadlineExceeded", 1)]
        with pytest.raises(ClusterError, match="version 2 is served again"):
            roll(registry, server)
        assert patches(server) == ["2"]
    else:
        assert roll(registry, server) == "fashion/serving serves version 3, before version 2"
        assert patches(server) == []


def test_a_version_that_is_its_own_predecessor_is_not_patched_in_again(registry: Registry):
    server = DeploymentServer("3", ("3",), ended("killed"))
    server.updated, server.annotations = 1, {PREVIOUS: "3"}
    with pytest.raises(ClusterError, match=r"Error \(exit code 1\): killed$"):
        roll(registry, server)
    assert patches(server) == []


def test_of_two_runs_at_the_same_moment_the_later_champion_is_served(registry: Registry):
    server = DeploymentServer("1")
    server.deploys = ["3"]  # of the other run, between our look and our patch
    assert roll(registry, server) == "fashion/serving serves version 3, before version 1"
    assert server.history == ["1", "3"]
    promoted = DeploymentServer("1")
    respond = promoted.respond

    def meanwhile(call: Call) -> Any:
        if call.method == "GET" and promoted.calls_of("PATCH", DEPLOYMENT):  # another run, after our patch
            promoted.template = {SERVED: "4"}
        return respond(call)

    promoted.respond = meanwhile  # type: ignore[method-assign]
    assert roll(registry, promoted) == "fashion/serving was given version 4 meanwhile"


def test_only_a_champion_is_deployed(registry: Registry):
    for number in ("1", "2", "3"):
        registry.client.set_model_version_tag("fashion-mnist", number, WITHDRAWN_TAG, "true")
    server = DeploymentServer("1")
    with pytest.raises(PipelineError, match="has no champion"):
        roll(registry, server)
    assert patches(server) == []


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(registry: Registry):
    server = DeploymentServer("1")
    server.faults = [Fault(DEPLOYMENT, 503, times=5)]
    assert roll(registry, server).startswith("fashion/serving serves version 3")


@pytest.mark.parametrize(
    ("status", "times", "text", "hint"),
    [
        (404, 1, "has no Deployment fashion/serving", "infra/kubernetes/serving"),
        (403, 1, "does not let this run change the Deployment", "--service-account fashion-runner"),
        (500, step.PATIENCE, "does not answer", "again"),
    ],
)
def test_what_kubernetes_refuses_is_named(registry: Registry, status: int, times: int, text: str, hint: str):
    server = DeploymentServer("1", ("3",))
    server.faults = [Fault(DEPLOYMENT, status, "{}", times=times)]
    with pytest.raises(ClusterError, match=text) as raised:
        roll(registry, server)
    assert hint in raised.value.hint


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [(403, "{}", "ApiException 403"), (500, "{}", "500"), (200, "[", "could not be read")],
)
def test_it_is_rolled_back_though_its_pods_cannot_be_read(
    registry: Registry, status: int, body: str, text: str
):
    server = DeploymentServer("1", ("3",))
    server.faults = [Fault(PODS, status, body)]
    with pytest.raises(ClusterError, match="version 1 is served again") as raised:
        roll(registry, server)
    assert text in str(raised.value)
    assert patches(server) == ["3", "1"]


def test_a_rollout_without_end_has_a_deadline_of_its_own(registry: Registry):
    server = DeploymentServer("1")
    server.deadline_seconds = server.available = 0  # and Kubernetes does not report its own
    with pytest.raises(
        ClusterError, match="did not get ready in fashion/serving: no pod says why; version 1 is"
    ):
        roll(registry, server)
    assert patches(server) == ["3", "1"]


def test_a_pod_that_was_lost_after_the_rollout_is_not_waited_for(registry: Registry):
    server = DeploymentServer("3")
    server.available = 1
    assert roll(registry, server) == "fashion/serving serves version 3 already, 1 of 2 pods ready"
    assert patches(server) == []


def test_a_paused_deployment_is_refused(registry: Registry):
    server = DeploymentServer("1")
    server.paused = True
    with pytest.raises(ClusterError, match="are paused") as raised:
        roll(registry, server)
    assert "rollout resume deployment serving" in raised.value.hint
    assert patches(server) == []


def test_outside_of_a_cluster_it_says_so(registry: Registry, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ClusterError, match="cannot be reached"):
        deploy(registry, TARGET)
