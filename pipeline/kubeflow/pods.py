"""The pods of a run, through the kubeconfig where there is one: why a step waits, and why it failed.

All of it is a help: without a kubeconfig, or without leave, there is just less to tell.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.kubeflow.notes import STATE_URL
from pipeline.kubeflow.settings import CONFIG_MAP

SECONDS = 5
PATIENCE = 3
"""Calls in a row without an answer after which no more are made."""
MAIN = "main"
"""The container that runs the step."""
NOT_YET = frozenset(("ContainerCreating", "PodInitializing"))
LOG_LINES = 200
RUN_LABEL = "pipeline/runid"
ARGO_PREFIX = r"^(task '[^']*' errored: |main: Error \(exit code \d+\)(: |$))"


@dataclass(frozen=True)
class Pod:
    """A step's pod.

    Args:
        path: Argo's name of it, without the run's: `root.train.executor(0)`.
        name: Its own name.
        created: When it was made: the latest of a step's pods is its last try.
        state: How far it is.
        reason: Why it waits, or does not start; why it ended, where Kubernetes knows.
    """

    path: str
    name: str
    created: Any
    state: Literal["waiting", "starting", "running", "done", "failed"]
    reason: str = ""


class Pods:
    """The pods of a namespace, and Argo's workflows, which make them.

    Args:
        namespace: Its name.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._client = kube_client()
        self._silent = 0

    def of_run(self, run_id: str) -> list[Pod]:
        """The pods of a run, the oldest first; none where they cannot be seen."""
        found = self._ask("CoreV1Api", "list_namespaced_pod", label_selector=f"{RUN_LABEL}={run_id}")
        return sorted(map(_pod, found.items), key=lambda pod: pod.created) if found else []

    def log(self, pod: Pod) -> str:
        """The end of what a pod's step printed; nothing where it cannot be read."""
        options = {"container": MAIN, "tail_lines": LOG_LINES}
        return self._ask("CoreV1Api", "read_namespaced_pod_log", name=pod.name, **options) or ""

    def faults(self, run_id: str) -> dict[str, str]:
        """What Argo says of the pods of a run that failed, or could not be made, by Argo's name of them."""
        workflows = {"group": "argoproj.io", "version": "v1alpha1", "plural": "workflows"}
        label = f"{RUN_LABEL}={run_id}"
        found = self._ask(
            "CustomObjectsApi", "list_namespaced_custom_object", label_selector=label, **workflows
        )
        said = {}
        for workflow in found["items"] if found else ():
            for node in workflow.get("status", {}).get("nodes", {}).values():
                if node["type"] == "Pod" and node["phase"] in ("Error", "Failed"):
                    message = re.sub(ARGO_PREFIX, "", node.get("message", ""))
                    said[node["name"].removeprefix(f"{workflow['metadata']['name']}.")] = message
        return said

    def config_map(self, name: str) -> dict[str, str]:
        """What a ConfigMap holds; nothing where it cannot be read."""
        found = self._ask("CoreV1Api", "read_namespaced_config_map", name=name)
        return dict(found.data or {}) if found else {}

    def _ask(self, api: str, method: str, **options: Any) -> Any:
        if self._client is None or self._silent >= PATIENCE:
            return None
        from kubernetes import client
        from urllib3.exceptions import HTTPError

        call = getattr(getattr(client, api)(self._client), method)
        try:
            answer = call(namespace=self.namespace, _request_timeout=SECONDS, **options)
        except (client.ApiException, HTTPError):
            self._silent += 1
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


def _pod(pod: Any) -> Pod:
    workflow = (pod.metadata.labels or {}).get("workflows.argoproj.io/workflow", "")
    path = (pod.metadata.annotations or {}).get("workflows.argoproj.io/node-name", "")
    state, reason = _state(pod.status)
    return Pod(
        path.removeprefix(f"{workflow}."), pod.metadata.name, pod.metadata.creation_timestamp, state, reason
    )


def _state(
    status: Any,
) -> tuple[Literal["waiting", "starting", "running", "done", "failed"], str]:
    if status.phase == "Succeeded":
        return "done", ""
    containers = [*(status.init_container_statuses or ()), *(status.container_statuses or ())]
    if status.phase == "Failed":
        return "failed", _end(status, containers)
    for condition in status.conditions or ():
        if condition.type == "PodScheduled" and condition.status == "False":
            return "waiting", (condition.message or "").partition(" preemption:")[0].rstrip(".")
    for container in containers:
        waiting = container.state and container.state.waiting
        if waiting and waiting.reason not in (None, *NOT_YET):
            return "starting", _waits(waiting.reason, waiting.message or "")
    return ("running" if status.phase == "Running" else "starting"), ""


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
