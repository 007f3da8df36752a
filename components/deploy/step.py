"""Rolls the Deployment that serves the champion to a new one, and back if that does not get ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.common.errors import ClusterError, redacted
from components.registry.model import champion_version

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, V1Deployment, V1Pod

    from components.registry.registry import Registry

SERVED = "fashion-pipeline/model-version"
"""Annotation of the pods: the version that they serve. Without it they serve the champion of their start."""
PREVIOUS = "fashion-pipeline/previous-version"
"""Annotation of the Deployment: the version before, for a step that was killed while it waited."""
POLL_SECONDS = 2.0
PATIENCE = 30
"""So many calls in a row may fail."""
MANIFESTS = "apply infra/kubernetes/serving, which has the Deployment and the Role, and name it by --deploy"
RIGHTS = (
    "submit with `--service-account fashion-runner`, to which infra/kubernetes/serving gives the right; "
    "apply that, with the namespaces of this cluster in its settings.env"
)
UNPINNED = (
    "no version was set before, so a pod that starts from now on takes the champion: `fashion rollback`, or "
    "mend the champion and submit a run with --deploy again"
)


@dataclass(frozen=True)
class Target:
    """A Deployment."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """As `--deploy` takes it."""
        return f"{self.namespace}/{self.name}"


def deploy(
    registry: Registry, target: Target, client: ApiClient | None = None, poll_seconds: float = POLL_SECONDS
) -> str:
    """Lets a Deployment serve the champion, waits until its pods are ready, and says what was done.

    Each pod may take the Deployment's `progressDeadlineSeconds`. A step that is run again goes on waiting.
    If two runs do this at the same moment, the later champion is served.

    Args:
        registry: The registered model.
        target: The Deployment; its pods get the version by the annotation `SERVED`.
        client: Of Kubernetes; None for that of this pod's service account.
        poll_seconds: Time between two looks.

    Raises:
        PipelineError: There is no champion.
        ClusterError: The pods did not get ready, and the version before is served again; or rollouts of the
            Deployment are paused; or Kubernetes cannot be reached, has no such Deployment, or refuses.
    """
    start = time.monotonic()
    api = _Kubernetes(target, client or _client_of_pod(), poll_seconds)
    while True:
        now = api.read()  # before the champion: a patch of an older look than another run's is refused
        champion, served = str(champion_version(registry).version), _served(now)
        if served == champion:
            if _is_complete(now):
                return f"{target} serves version {champion} already{_unready(now)}"
            before, stale = (now.metadata.annotations or {}).get(PREVIOUS) or None, None
            break
        _refuse_paused(now, target)
        before, stale = served, _deadline_passed(now)  # of an earlier rollout: it stays for a moment
        if api.patch(now, champion, before):
            break
    while True:
        now = api.read()
        if _served(now) != champion:
            return f"{target} was given version {_served(now)} meanwhile"
        if _is_complete(now):
            return (
                f"{target} serves version {champion}"
                + (f", before version {before}" if before else "")
                + _unready(now)
            )
        _refuse_paused(now, target)
        passed = _deadline_passed(now)
        # Kubernetes' deadline begins again with each progress.
        if (passed and passed != stale) or time.monotonic() - start > _longest(now):
            reason, back = api.reason(now, champion), before != champion  # the pods are gone after the patch
            if back and not api.patch(now, before, before):
                continue
            raise ClusterError(
                f"version {champion} did not get ready in {target}: {reason}"
                + f"; {f'version {before}' if before else 'what was there before'} is served again" * back,
                f"`kubectl -n {target.namespace} describe deployment {target.name}`; for a model with new "
                "code apply infra/kubernetes/serving with the new image" + f"; {UNPINNED}" * (not before),
            )
        time.sleep(poll_seconds)


def _served(now: V1Deployment) -> str | None:
    return (now.spec.template.metadata.annotations or {}).get(SERVED)


def _is_complete(now: V1Deployment) -> bool:
    """Whether the pods of the current template, and no others, are there and are or were ready."""
    status = now.status
    if (status.observed_generation or 0) < now.metadata.generation:
        return False
    was_complete = any(c.reason == "NewReplicaSetAvailable" for c in status.conditions or ())
    there = {status.replicas or 0, status.updated_replicas or 0}
    return there == {now.spec.replicas} and (was_complete or status.available_replicas == now.spec.replicas)


def _unready(now: V1Deployment) -> str:
    """Of a complete rollout: how many of its pods are ready, unless all are, as after the loss of a node."""
    ready, wanted = now.status.available_replicas or 0, now.spec.replicas
    return "" if ready >= wanted else f", {ready} of {wanted} pods ready"


def _refuse_paused(now: V1Deployment, target: Target) -> None:
    if now.spec.paused:
        raise ClusterError(
            f"rollouts of the Deployment {target} are paused",
            f"`kubectl -n {target.namespace} rollout resume deployment {target.name}`, then submit again",
        )


def _longest(now: V1Deployment) -> int:
    """Seconds for a rollout, in which one pod after the other is replaced."""
    per_pod = now.spec.progress_deadline_seconds
    return ((now.spec.replicas or 0) + 1) * (600 if per_pod is None else per_pod)


def _deadline_passed(now: V1Deployment) -> Any:
    """When Kubernetes noticed that the rollout makes no progress; None if it has not."""
    if (now.status.observed_generation or 0) < now.metadata.generation:
        return None
    conditions = now.status.conditions or ()
    return next((c.last_update_time for c in conditions if c.reason == "ProgressDeadlineExceeded"), None)


def _client_of_pod() -> ApiClient:
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException as error:
        raise ClusterError(
            f"Kubernetes cannot be reached: {error}", "run this step on a cluster: `fashion submit --deploy`"
        ) from None
    configuration.retries = False
    return client.ApiClient(configuration)


class _Kubernetes:
    """The calls, repeated while the API server is away for a moment."""

    def __init__(self, target: Target, client: ApiClient, poll_seconds: float) -> None:
        from kubernetes.client import AppsV1Api, CoreV1Api

        self.target, self.poll_seconds = target, poll_seconds
        self.apps, self.core = AppsV1Api(client), CoreV1Api(client)

    def read(self) -> V1Deployment:
        return self._call(self.apps.read_namespaced_deployment, name=self.target.name)

    def patch(self, seen: V1Deployment, version: str | None, before: str | None) -> bool:
        """Sets the version to serve; False if the Deployment is not as it was seen any more."""
        body = {
            "metadata": {
                "resourceVersion": seen.metadata.resource_version,
                "annotations": {PREVIOUS: before},
            },
            "spec": {"template": {"metadata": {"annotations": {SERVED: version}}}},
        }
        return bool(self._call(self.apps.patch_namespaced_deployment, name=self.target.name, body=body))

    def reason(self, now: V1Deployment, version: str) -> str:
        """Why the pods of a version are not ready; it never fails, since the way back comes after it."""
        try:
            labels = ",".join(f"{name}={value}" for name, value in now.spec.selector.match_labels.items())
            pods = self.core.list_namespaced_pod(
                self.target.namespace, label_selector=labels, _request_timeout=10
            ).items
            of_version = [pod for pod in pods if (pod.metadata.annotations or {}).get(SERVED) == version]
            return next(filter(None, map(_pod_reason, of_version)), "no pod says why")
        except Exception as error:
            fault = redacted(f"{type(error).__name__} {getattr(error, 'status', '')}").strip()
            return f"its pods could not be read ({fault})"

    def _call(self, call: Callable[..., Any], **options: Any) -> Any:
        """The answer, or None for a conflict."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        for attempt in range(1, PATIENCE + 1):
            try:
                return call(namespace=self.target.namespace, _request_timeout=10, **options)
            except (ApiException, HTTPError) as error:
                status = getattr(error, "status", 0)
                if status == 409:
                    return None
                if status == 404:
                    raise ClusterError(f"Kubernetes has no Deployment {self.target}", MANIFESTS) from None
                if status in (401, 403):
                    raise ClusterError(
                        f"Kubernetes does not let this run change the Deployment {self.target}", RIGHTS
                    ) from None
                if attempt == PATIENCE or 400 <= status < 500:
                    fault = redacted(f"{type(error).__name__} {status or ''}").strip()
                    raise ClusterError(
                        f"Kubernetes does not answer ({fault})", "submit the run again"
                    ) from None
            time.sleep(self.poll_seconds)
        raise AssertionError


def _pod_reason(pod: V1Pod) -> str:
    """The last error of a pod, or what it waits for; "" if it is ready."""
    for status in pod.status.container_statuses or ():
        ended = status.state.terminated or (status.last_state and status.last_state.terminated)
        waiting = status.state.waiting
        if ended and not status.ready:
            lines = (ended.message or "").strip().splitlines()
            if errors := [line for line in lines if line.startswith("error: ")]:
                return errors[0].removeprefix("error: ")
            how = (
                f"{ended.reason or 'ended'} (exit code {ended.exit_code})"  # as OOMKilled, which no log says
            )
            return ": ".join([how, *lines[-1:]])
        if waiting:
            return f"{waiting.reason}: {waiting.message}" if waiting.message else str(waiting.reason)
    unmet = [c for c in pod.status.conditions or () if c.status == "False" and c.message]
    return unmet[0].message if unmet else ""
