"""The API server of a Kubernetes cluster with one Deployment, whose controller acts between two looks."""

from typing import Any

from tests.support.json_server import Call, JsonServer, RefusalError

SERVED, PREVIOUS = "fashion-pipeline/model-version", "fashion-pipeline/previous-version"
DEPLOYMENT = "/apis/apps/v1/namespaces/fashion/deployments/serving"
PODS = "/api/v1/namespaces/fashion/pods"


class DeploymentServer(JsonServer):
    """A Deployment `fashion/serving` of two pods.

    Args:
        served: The version in its annotation.
        broken: Versions whose pods never get ready.
        reason: Why not: the state of their container.
    """

    def __init__(
        self, served: str | None, broken: tuple[str, ...] = (), reason: dict[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.broken, self.reason = broken, reason or {}
        self.annotations: dict[str, str] = {}
        self.template = {SERVED: served} if served else {}
        self.generation = self.observed = self.resource_version = 1
        self.updated = self.available = 2
        self.paused, self.deadline_seconds = False, 300
        self.conditions = [condition("NewReplicaSetAvailable", 0)]
        self.history: list[str | None] = [served]
        self.deploys: list[str] = []
        """Versions that somebody else patches in, one before each patch of ours."""

    def respond(self, call: Call) -> Any:
        if call.path == PODS:
            assert call.query["labelSelector"] == "app=serving"
            return {"items": [self._pod(version) for version in self.history[-2:]]}
        if call.path != DEPLOYMENT:
            raise RefusalError(404, {"kind": "Status", "code": 404})
        if call.method == "PATCH":
            if self.deploys:
                self._apply(changed(self.deploys.pop(), self.template[SERVED]))
            if call.body["metadata"]["resourceVersion"] != str(self.resource_version):
                raise RefusalError(409, {"kind": "Status", "code": 409, "reason": "Conflict"})
            self._apply(call.body)
        else:
            self._act()
        return self._deployment()

    def _apply(self, patch: dict[str, Any]) -> None:
        for annotations, changes in (
            (self.annotations, patch.get("metadata", {}).get("annotations", {})),
            (self.template, patch["spec"]["template"]["metadata"]["annotations"]),
        ):
            annotations.update({name: value for name, value in changes.items() if value is not None})
            for name in [name for name, value in changes.items() if value is None]:
                annotations.pop(name, None)
        self.history.append(self.template.get(SERVED))
        self.generation += 1
        self.resource_version += 1
        self.updated = 0

    def _act(self) -> None:
        """The controller's next step: it takes note, starts one pod after the other, or gives up."""
        if self.observed < self.generation:  # what the status says of conditions is still of before
            self.observed = self.generation
        elif self.template.get(SERVED) in self.broken:
            self.conditions = [condition("ProgressDeadlineExceeded", self.generation)]
        elif self.updated < 2:
            self.updated += 1
            self.conditions = [condition("ReplicaSetUpdated", self.generation)]
        self.resource_version += 1

    def _deployment(self) -> dict[str, Any]:
        return {
            "metadata": {
                "name": "serving",
                "generation": self.generation,
                "resourceVersion": str(self.resource_version),
                "annotations": self.annotations,
            },
            "spec": {
                "replicas": 2,
                "paused": self.paused,
                "progressDeadlineSeconds": self.deadline_seconds,
                "selector": {"matchLabels": {"app": "serving"}},
                "template": {"metadata": {"annotations": self.template}, "spec": {"containers": []}},
            },
            "status": {
                "observedGeneration": self.observed,
                "replicas": 2 if self.updated == 2 else 3,
                "updatedReplicas": self.updated,
                "availableReplicas": self.available,
                "conditions": self.conditions,
            },
        }

    def _pod(self, version: str | None) -> dict[str, Any]:
        broken = version in self.broken
        container = {"name": "serving", "image": "i", "imageID": "", "ready": not broken, "restartCount": 0}
        states = self.reason if broken else {"state": {"running": {}}}
        return {
            "metadata": {"name": f"pod-{version}", "annotations": {SERVED: version} if version else {}},
            "spec": {"containers": []},
            "status": {"containerStatuses": [container | states]},
        }


def changed(version: str, before: str) -> dict[str, Any]:
    """The patch of another run."""
    annotations = {"metadata": {"annotations": {SERVED: version}}}
    return {"metadata": {"annotations": {PREVIOUS: before}}, "spec": {"template": annotations}}


def condition(reason: str, second: int) -> dict[str, str]:
    """The condition `Progressing`."""
    status = "False" if reason == "ProgressDeadlineExceeded" else "True"
    time = f"2026-11-21T21:00:{second:02d}Z"
    return {"type": "Progressing", "status": status, "reason": reason, "lastUpdateTime": time}


def ended(message: str, reason: str = "Error", code: int = 1) -> dict[str, Any]:
    """A container that ends again and again."""
    terminated = {"exitCode": code, "reason": reason, "message": message}
    return {
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
        "lastState": {"terminated": terminated},
    }
