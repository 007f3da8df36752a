"""The pods of a run, read through the kubeconfig: why a step waits, and why it failed.

Without a kubeconfig, or without permission, nothing is found, and less is printed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.kubeflow.client.workflow import GROUP, RUN_LABEL, SHUTDOWN, Workflow
from pipeline.kubeflow.runtime.environment import CONFIG_MAP, STATE_URL

SECONDS = 5
PATIENCE, PAUSE_SECONDS = 3, 60
"""After so many calls in a row without an answer, none is made for so many seconds."""
MAIN = "main"
"""The container that runs the step."""
NOT_YET = frozenset(("ContainerCreating", "PodInitializing"))
NO_IMAGE = frozenset(
    (
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    )
)
NO_CONTAINER = frozenset(("CreateContainerConfigError", "CreateContainerError"))
"""Reasons for which Kubernetes retries to start a container without end."""
LOG_LINES = 200


@dataclass(frozen=True)
class Pod:
    """A step's pod.

    Args:
        path: Argo's name of its node without the workflow's name: `root.train.executor(0)`.
        name: Name of the pod.
        created: Creation time: the latest of a step's pods is its last attempt.
        state: State of the pod.
        reason: Why it waits, does not start, or ended.
        image: Image of the container that does not start.
    """

    path: str
    name: str
    created: Any
    state: Literal["waiting", "starting", "running", "done", "failed"]
    reason: str = ""
    image: str = ""

    @property
    def lacks_image(self) -> bool:
        """Whether it does not start because its image cannot be pulled."""
        return self.state == "starting" and self.reason.partition(":")[0] in NO_IMAGE

    @property
    def cannot_start(self) -> bool:
        """Whether it will not start by itself."""
        return self.lacks_image or (
            self.state == "starting" and self.reason.partition(":")[0] in NO_CONTAINER
        )


class Pods:
    """Reads the pods and the Argo workflows of a namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._client = kube_client()
        self._silent, self._again = 0, 0.0

    def of_run(self, run_id: str) -> list[Pod]:
        """The pods of a run, the oldest first; none if they cannot be read."""
        found = self._ask("CoreV1Api", "list_namespaced_pod", label_selector=f"{RUN_LABEL}={run_id}")
        return sorted(map(_pod, found.items), key=lambda pod: pod.created) if found else []

    def log(self, pod: Pod) -> str:
        """The last lines of a step's log; empty if it cannot be read."""
        options = {"container": MAIN, "tail_lines": LOG_LINES}
        return self._ask("CoreV1Api", "read_namespaced_pod_log", name=pod.name, **options) or ""

    def workflows(self, run_ids: Iterable[str]) -> dict[str, Workflow]:
        """The Argo workflows of runs that can be read, by the run's id."""
        label = f"{RUN_LABEL} in ({','.join(run_ids)})"
        found = self._ask("CustomObjectsApi", "list_namespaced_custom_object", label_selector=label, **GROUP)
        workflows = map(Workflow, found["items"] if found else ())
        return {workflow.run_id: workflow for workflow in workflows}

    def workflow(self, run_id: str) -> Workflow | None:
        """The Argo workflow of a run; None if it cannot be read."""
        return self.workflows([run_id]).get(run_id)

    def shut_down(self, workflow: Workflow) -> bool:
        """Shuts a workflow down with all its pods; returns whether that was permitted."""
        options = {"name": workflow.name, "body": SHUTDOWN}
        return bool(self._ask("CustomObjectsApi", "patch_namespaced_custom_object", **GROUP, **options))

    def config_map(self, name: str) -> dict[str, str]:
        """The content of a ConfigMap; empty if it cannot be read."""
        found = self._ask("CoreV1Api", "read_namespaced_config_map", name=name)
        return dict(found.data or {}) if found else {}

    def _ask(self, api: str, method: str, **options: Any) -> Any:
        paused = self._silent >= PATIENCE and time.monotonic() < self._again
        if self._client is None or paused:
            return None
        from kubernetes import client
        from urllib3.exceptions import HTTPError

        call = getattr(getattr(client, api)(self._client), method)
        try:
            answer = call(namespace=self.namespace, _request_timeout=SECONDS, **options)
        except (client.ApiException, HTTPError):
            self._silent += 1
            self._again = time.monotonic() + PAUSE_SECONDS
            return None
        self._silent = 0
        return answer


def namespace_exists(name: str) -> bool | None:
    """Whether the kubeconfig's cluster has a namespace; None if that cannot be asked."""
    api = kube_client()
    if api is None:
        return None
    from kubernetes import client
    from urllib3.exceptions import HTTPError

    try:
        client.CoreV1Api(api).read_namespace(name, _request_timeout=SECONDS)
    except client.ApiException as error:
        return None if error.status == 401 else error.status != 404
    except HTTPError:
        return None
    return True


def state_location(pods: Pods) -> str:
    """The storage of the steps' statuses, if it can be read from here; else empty.

    FASHION_STATE_URL or the cluster's ConfigMap names it. The ConfigMap's address of the S3 server is put
    into the environment, where boto reads it; an address that only the cluster can reach is not used.
    """
    if os.environ.get(STATE_URL):
        return os.environ[STATE_URL]
    config = pods.config_map(CONFIG_MAP)
    if not config.get(STATE_URL, "").startswith("s3://") or ".svc" in config.get("AWS_ENDPOINT_URL", ""):
        return ""
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        if config.get(name):
            os.environ.setdefault(name, config[name])
    return config[STATE_URL]


def kube_client() -> Any:
    """A client by the kubeconfig, or by this pod's service account; None if there is neither."""
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        try:
            path = os.environ.get("KUBECONFIG") or config.KUBE_CONFIG_DEFAULT_LOCATION
            config.load_kube_config(path, client_configuration=configuration)
        except config.ConfigException:
            config.load_incluster_config(client_configuration=configuration)
    except Exception:  # a broken kubeconfig is treated as none
        return None
    configuration.retries = False
    return client.ApiClient(configuration)


def with_lost(pods: Sequence[Pod], workflow: Workflow | None) -> list[Pod]:
    """The pods of a run, with those that Argo created and that are gone, as failed ones."""
    known = {pod.path for pod in pods}
    faults = workflow.faults if workflow else {}
    lost = [Pod(path, "", None, "failed", why) for path, why in faults.items() if path not in known]
    return [*lost, *pods]


def _pod(pod: Any) -> Pod:
    workflow = (pod.metadata.labels or {}).get("workflows.argoproj.io/workflow", "")
    path = (pod.metadata.annotations or {}).get("workflows.argoproj.io/node-name", "")
    return Pod(
        path.removeprefix(f"{workflow}."),
        pod.metadata.name,
        pod.metadata.creation_timestamp,
        *_state(pod.status),
    )


def _state(
    status: Any,
) -> tuple[Literal["waiting", "starting", "running", "done", "failed"], str, str]:
    """State of a pod, the reason, and the image that keeps it from starting."""
    if status.phase == "Succeeded":
        return "done", "", ""
    containers = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    if status.phase == "Failed":
        return "failed", _end_reason(status, containers), ""
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return "waiting", (condition.message or "").partition(" preemption:")[0].rstrip("."), ""
    for container in containers:
        waiting = container.state and container.state.waiting
        if waiting and waiting.reason not in (None, *NOT_YET):
            return "starting", _waiting_reason(waiting.reason, waiting.message or ""), container.image
    return ("running" if status.phase == "Running" else "starting"), "", ""


def _waiting_reason(reason: str, message: str) -> str:
    """Why a container does not start: the same text for each retry of an image."""
    if reason == "ImagePullBackOff" and "ErrImagePull: " in message:
        reason, message = "ErrImagePull", message.rpartition("ErrImagePull: ")[2]
    return ": ".join(filter(None, (reason, message)))


def _end_reason(status: Any, containers: list[Any]) -> str:
    """Why a pod failed: its termination message, or what Kubernetes did to it."""
    if status.reason:  # evicted, or over its time limit
        return ": ".join(filter(None, (status.reason, status.message)))
    for container in containers:
        ended = container.state and container.state.terminated
        if ended and ended.exit_code and container.name == MAIN:
            killed = "" if ended.reason == "Error" else str(ended.reason or "")
            return str(ended.message or killed).strip()
    return ""
