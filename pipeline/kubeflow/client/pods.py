"""The pods of a run, through the kubeconfig where there is one: why a step waits, and why it failed.

All of it is a help: without a kubeconfig, or without leave, there is just less to tell.
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
"""Calls in a row without an answer after which none is made for so long."""
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
"""Reasons for which Kubernetes tries to start a container again and again, for ever."""
LOG_LINES = 200


@dataclass(frozen=True)
class Pod:
    """A step's pod.

    Args:
        path: Argo's name of it, without the run's: `root.train.executor(0)`.
        name: Its own name.
        created: When it was made: the latest of a step's pods is its last try.
        state: How far it is.
        reason: Why it waits, or does not start; why it ended, where Kubernetes knows.
        image: The image of the container that does not start.
    """

    path: str
    name: str
    created: Any
    state: Literal["waiting", "starting", "running", "done", "failed"]
    reason: str = ""
    image: str = ""

    @property
    def lacks_image(self) -> bool:
        """Whether it does not start because its image cannot be had."""
        return self.state == "starting" and self.reason.partition(":")[0] in NO_IMAGE

    @property
    def cannot_start(self) -> bool:
        """Whether it will not start unless somebody mends something."""
        return self.lacks_image or (
            self.state == "starting" and self.reason.partition(":")[0] in NO_CONTAINER
        )


class Pods:
    """The pods of a namespace, and Argo's workflows, which make them.

    Args:
        namespace: Its name.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._client = kube_client()
        self._silent, self._again = 0, 0.0

    def of_run(self, run_id: str) -> list[Pod]:
        """The pods of a run, the oldest first; none where they cannot be seen."""
        found = self._ask("CoreV1Api", "list_namespaced_pod", label_selector=f"{RUN_LABEL}={run_id}")
        return sorted(map(_pod, found.items), key=lambda pod: pod.created) if found else []

    def log(self, pod: Pod) -> str:
        """The end of what a pod's step printed; nothing where it cannot be read."""
        options = {"container": MAIN, "tail_lines": LOG_LINES}
        return self._ask("CoreV1Api", "read_namespaced_pod_log", name=pod.name, **options) or ""

    def workflows(self, run_ids: Iterable[str]) -> dict[str, Workflow]:
        """Argo's workflows of runs, by the id of the run; of those that can be seen."""
        label = f"{RUN_LABEL} in ({','.join(run_ids)})"
        found = self._ask("CustomObjectsApi", "list_namespaced_custom_object", label_selector=label, **GROUP)
        workflows = map(Workflow, found["items"] if found else ())
        return {workflow.run_id: workflow for workflow in workflows}

    def workflow(self, run_id: str) -> Workflow | None:
        """Argo's workflow of a run; None where it cannot be seen."""
        return self.workflows([run_id]).get(run_id)

    def shut_down(self, workflow: Workflow) -> bool:
        """Ends a workflow with all its pods; returns whether that was permitted."""
        options = {"name": workflow.name, "body": SHUTDOWN}
        return bool(self._ask("CustomObjectsApi", "patch_namespaced_custom_object", **GROUP, **options))

    def config_map(self, name: str) -> dict[str, str]:
        """What a ConfigMap holds; nothing where it cannot be read."""
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
    """Whether the kubeconfig's cluster has a namespace; None where there is nobody to ask."""
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
    """Where this cluster's steps leave their notes, if that can be read from here; else an empty text.

    FASHION_STATE_URL names it, or the cluster's ConfigMap, unless only the cluster can reach it. What the
    ConfigMap says of the S3 server is put into the environment, where boto looks for it.
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
    """Kubernetes by the kubeconfig, or by this pod's service account; None where there is neither."""
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        try:
            path = os.environ.get("KUBECONFIG") or config.KUBE_CONFIG_DEFAULT_LOCATION
            config.load_kube_config(path, client_configuration=configuration)
        except config.ConfigException:
            config.load_incluster_config(client_configuration=configuration)
    except Exception:  # whatever is wrong with somebody's kubeconfig: it is a help, no condition
        return None
    configuration.retries = False
    return client.ApiClient(configuration)


def with_lost(pods: Sequence[Pod], workflow: Workflow | None) -> list[Pod]:
    """The pods of a run, and those that Argo made and that are not there any more, as failed ones."""
    there = {pod.path for pod in pods}
    faults = workflow.faults if workflow else {}
    lost = [Pod(path, "", None, "failed", why) for path, why in faults.items() if path not in there]
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
    """How far a pod is, why, and the image that keeps it from starting."""
    if status.phase == "Succeeded":
        return "done", "", ""
    containers = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    if status.phase == "Failed":
        return "failed", _end(status, containers), ""
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return "waiting", (condition.message or "").partition(" preemption:")[0].rstrip("."), ""
    for container in containers:
        waiting = container.state and container.state.waiting
        if waiting and waiting.reason not in (None, *NOT_YET):
            return "starting", _waits(waiting.reason, waiting.message or ""), container.image
    return ("running" if status.phase == "Running" else "starting"), "", ""


def _waits(reason: str, message: str) -> str:
    """Why a container does not start; while Kubernetes tries an image again and again, the same each time."""
    if reason == "ImagePullBackOff" and "ErrImagePull: " in message:
        reason, message = "ErrImagePull", message.rpartition("ErrImagePull: ")[2]
    return ": ".join(filter(None, (reason, message)))


def _end(status: Any, containers: list[Any]) -> str:
    """Why a pod failed: what its step wrote for it, or what Kubernetes did to it."""
    if status.reason:  # evicted, or over its time limit
        return ": ".join(filter(None, (status.reason, status.message)))
    for container in containers:
        ended = container.state and container.state.terminated
        if ended and ended.exit_code and container.name == MAIN:
            killed = "" if ended.reason == "Error" else str(ended.reason or "")
            return str(ended.message or killed).strip()
    return ""
