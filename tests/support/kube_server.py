"""The API server of a Kubernetes cluster, as far as one looks at it who waits for a run."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.json_server import Call, JsonServer, RefusalError

SHUTDOWN = {"spec": {"shutdown": "Terminate"}}


class KubeServer(JsonServer):
    """Kubernetes: pods with their logs, a ConfigMap, and Argo's workflows, all of one namespace."""

    def __init__(self) -> None:
        super().__init__()
        self.namespaces = ["kubeflow", "team"]
        self.pods: list[dict[str, Any]] = []
        self.logs: dict[str, str] = {}
        self.config: dict[str, str] = {}
        self.faults_of: dict[str, str] = {}
        """What Argo says of nodes that failed."""
        self.workflow: dict[str, Any] = {"spec": {}, "status": {}}
        """What else there is to say of a run's workflow."""

    def respond(self, call: Call) -> Any:
        """Finds the call's method."""
        routes: dict[str, Callable[..., Any]] = {
            r"/api/v1/namespaces/(\w+)": lambda name: {"metadata": {"name": name}},
            r"/api/v1/namespaces/(\w+)/pods": lambda _: {"items": self.pods[::-1]},
            r"/api/v1/namespaces/(\w+)/pods/([\w-]+)/log": lambda _, pod: self.logs[pod],
            r"/api/v1/namespaces/(\w+)/configmaps/fashion-config": lambda _: {"data": self.config},
            r"/apis/argoproj.io/v1alpha1/namespaces/(\w+)/workflows": lambda _: self._workflows(call),
            r"/apis/argoproj.io/v1alpha1/namespaces/(\w+)/workflows/wf": lambda _: self._patch(call),
        }
        for pattern, answer in routes.items():
            found = re.fullmatch(pattern, call.path)
            if found and found[1] in self.namespaces:
                return answer(*found.groups())
        raise RefusalError(404, {"kind": "Status", "status": "Failure", "code": 404})

    def _workflows(self, call: Call) -> dict[str, Any]:
        """The workflow, of each run that is asked for."""
        found = re.fullmatch(r"pipeline/runid in \((.+)\)", call.query["labelSelector"])
        assert found
        nodes = {
            str(number): {"name": f"wf.{path}", "type": "Pod", "phase": "Error", "message": text}
            for number, (path, text) in enumerate(self.faults_of.items())
        }
        status = self.workflow["status"]
        filled = {
            "spec": self.workflow["spec"],
            "status": status | {"nodes": status.get("nodes", {}) | nodes},
        }
        names = [{"name": "wf", "labels": {"pipeline/runid": run_id}} for run_id in found[1].split(",")]
        return {"items": [{"metadata": metadata, **filled} for metadata in names]}

    def _patch(self, call: Call) -> dict[str, Any]:
        """Argo's answer to a shutdown: the workflow ends, with all that waits in it."""
        assert call.method == "PATCH"
        assert call.headers["content-type"] == "application/merge-patch+json"
        if call.body == SHUTDOWN:
            self.workflow["spec"]["shutdown"] = "Terminate"
            self.workflow["status"]["phase"] = "Failed"
            self.pods = []
        return {"metadata": {"name": "wf"}, **self.workflow}

    def add_pod(self, path: str, **status: Any) -> str:
        """A pod of a step, made after the others; returns its name."""
        name = f"pod-{len(self.pods)}"
        metadata = {
            "name": name,
            "creationTimestamp": f"2026-11-21T21:00:{len(self.pods):02d}Z",
            "labels": {"workflows.argoproj.io/workflow": "wf"},
            "annotations": {"workflows.argoproj.io/node-name": f"wf.{path}"},
        }
        self.pods.append({"metadata": metadata, "status": status})
        return name

    def kubeconfig(self, path: Path) -> Path:
        """Writes a kubeconfig that leads here."""
        context = {"cluster": "here", "user": "me"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": {"server": self.url}}],
            "users": [{"name": "me", "user": {"token": "t"}}],
            "contexts": [{"name": "here", "context": context}],
            "current-context": "here",
        }
        path.write_text(json.dumps(content))
        return path


def unscheduled(message: str) -> dict[str, Any]:
    """The status of a pod for which there is no node."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [condition]}


def main_container(phase: str, **state: dict[str, Any]) -> dict[str, Any]:
    """The status of a pod whose container `main` is waiting, running or terminated."""
    container = {"name": "main", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
    return {"phase": phase, "containerStatuses": [container | {"state": state}]}
