"""The pods of a run and its Argo workflow, read with the kubeconfig: why a step waits, and why it failed.

Nothing here is required: without a kubeconfig, or without permission, the result is just empty.
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
"""Timeout of a call to Kubernetes."""
MAX_FAILURES, PAUSE_SECONDS = 3, 60
"""After so many failed calls in a row, no call is made for so many seconds."""
MAIN = "main"
"""The container that runs the step."""
STARTING = frozenset(("ContainerCreating", "PodInitializing"))
IMAGE_ERRORS = frozenset(
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
CONTAINER_ERRORS = frozenset(("CreateContainerConfigError", "CreateContainerError"))
"""Reasons of a waiting container, as the image errors, with which Kubernetes retries it without end."""
LOG_LINES = 200

PodState = Literal["waiting", "starting", "running", "done", "failed"]


@dataclass(frozen=True)
class Pod:
    """A step's pod.

    Args:
        path: Argo's name of its node, without the workflow's: `root.train.executor(0)`.
        name: Name of the pod.
        created: Creation time.
        state: `waiting` for a node, `starting` its containers, `running`, `done` or `failed`.
        reason: Why it waits, does not start, or failed; empty where Kubernetes gives no reason.
        image: The image of the container that does not start.
    """

    path: str
    name: str
    created: Any
    state: PodState
    reason: str = ""
    image: str = ""

    @property
    def lacks_image(self) -> bool:
        """Whether it does not start because its image cannot be pulled."""
        return self._start_error in IMAGE_ERRORS

    @property
    def cannot_start(self) -> bool:
        """Whether it does not start until somebody corrects its image or its settings."""
        return self._start_error in IMAGE_ERRORS | CONTAINER_ERRORS

    @property
    def _start_error(self) -> str:
        return self.reason.partition(":")[0] if self.state == "starting" else ""


class Pods:
    """The pods and Argo workflows of a namespace."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._client = kube_client()
        self._failures, self._paused_until = 0, 0.0

    def of_run(self, run_id: str) -> list[Pod]:
        """The pods of a run, oldest first; empty where they cannot be read."""
        found = self._call("CoreV1Api", "list_namespaced_pod", label_selector=f"{RUN_LABEL}={run_id}")
        return sorted(map(_pod, found.items), key=lambda pod: pod.created) if found else []

    def log(self, pod: Pod) -> str:
        """The last lines of a step's log; empty where it cannot be read."""
        options = {"container": MAIN, "tail_lines": LOG_LINES}
        return self._call("CoreV1Api", "read_namespaced_pod_log", name=pod.name, **options) or ""

    def workflows(self, run_ids: Iterable[str]) -> dict[str, Workflow]:
        """The Argo workflows of runs, by run id, of those that can be read."""
        label = f"{RUN_LABEL} in ({','.join(run_ids)})"
        found = self._call("CustomObjectsApi", "list_namespaced_custom_object", label_selector=label, **GROUP)
        workflows = map(Workflow, found["items"] if found else ())
        return {workflow.run_id: workflow for workflow in workflows}

    def workflow(self, run_id: str) -> Workflow | None:
        """The Argo workflow of a run; None where it cannot be read."""
        return self.workflows([run_id]).get(run_id)

    def shut_down(self, workflow: Workflow) -> bool:
        """Shuts a workflow down with all its pods; returns whether that was permitted."""
        options = {"name": workflow.name, "body": SHUTDOWN}
        return bool(self._call("CustomObjectsApi", "patch_namespaced_custom_object", **GROUP, **options))

    def config_map(self, name: str) -> dict[str, str]:
        """The data of a ConfigMap; empty where it cannot be read."""
        found = self._call("CoreV1Api", "read_namespaced_config_map", name=name)
        return dict(found.data or {}) if found else {}

    def _call(self, api: str, method: str, **options: Any) -> Any:
        paused = self._failures >= MAX_FAILURES and time.monotonic() < self._paused_until
        if self._client is None or paused:
            return None
        from kubernetes import client
        from urllib3.exceptions import HTTPError

        call = getattr(getattr(client, api)(self._client), method)
        try:
            answer = call(namespace=self.namespace, _request_timeout=SECONDS, **options)
        except (client.ApiException, HTTPError):
            self._failures += 1
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            return None
        self._failures = 0
        return answer


def namespace_exists(name: str) -> bool | None:
    """Whether the kubeconfig's cluster has a namespace; None where that cannot be found out."""
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


def state_storage_url(pods: Pods) -> str:
    """URL of the storage where the cluster's steps keep their status; empty if it cannot be read from here.

    It comes from FASHION_STATE_URL, or from the cluster's ConfigMap unless its S3 server is reachable only
    inside the cluster. boto3 gets endpoint and region of the ConfigMap through the environment.
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
    """A client of Kubernetes by kubeconfig, else by this pod's service account; None without either."""
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        try:
            path = os.environ.get("KUBECONFIG") or config.KUBE_CONFIG_DEFAULT_LOCATION
            config.load_kube_config(path, client_configuration=configuration)
        except config.ConfigException:
            config.load_incluster_config(client_configuration=configuration)
    except Exception:  # a broken kubeconfig fails in many ways, and counts as none
        return None
    configuration.retries = False
    return client.ApiClient(configuration)


def with_deleted(pods: Sequence[Pod], workflow: Workflow | None) -> list[Pod]:
    """The pods of a run, and before them, as failed, those that failed in Argo and do not exist any more."""
    existing = {pod.path for pod in pods}
    errors = workflow.pod_errors if workflow else {}
    deleted = [Pod(path, "", None, "failed", error) for path, error in errors.items() if path not in existing]
    return [*deleted, *pods]


def _pod(pod: Any) -> Pod:
    workflow = (pod.metadata.labels or {}).get("workflows.argoproj.io/workflow", "")
    path = (
        (pod.metadata.annotations or {})
        .get("workflows.argoproj.io/node-name", "")
        .removeprefix(f"{workflow}.")
    )
    return Pod(path, pod.metadata.name, pod.metadata.creation_timestamp, *_state(pod.status))


def _state(status: Any) -> tuple[PodState, str, str]:
    """State, reason, and the image that keeps a pod from starting."""
    if status.phase == "Succeeded":
        return "done", "", ""
    containers = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    if status.phase == "Failed":
        return "failed", _failure_reason(status, containers), ""
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return "waiting", (condition.message or "").partition(" preemption:")[0].rstrip("."), ""
    for container in containers:
        waiting = container.state and container.state.waiting
        if waiting and waiting.reason not in (None, *STARTING):
            return "starting", _waiting_reason(waiting.reason, waiting.message or ""), container.image
    return ("running" if status.phase == "Running" else "starting"), "", ""


def _waiting_reason(reason: str, message: str) -> str:
    """Why a container does not start; between two tries to pull an image the same as right after a try."""
    if reason == "ImagePullBackOff" and "ErrImagePull: " in message:
        reason, message = "ErrImagePull", message.rpartition("ErrImagePull: ")[2]
    return ": ".join(filter(None, (reason, message)))


def _failure_reason(status: Any, containers: list[Any]) -> str:
    """Why a pod failed: the termination message of its step, or Kubernetes' reason."""
    if status.reason:  # evicted, or over its time limit
        return ": ".join(filter(None, (status.reason, status.message)))
    for container in containers:
        ended = container.state and container.state.terminated
        if ended and ended.exit_code and container.name == MAIN:
            reason = "" if ended.reason == "Error" else str(ended.reason or "")
            return str(ended.message or reason).strip()
    return ""
