"""What kustomize makes of infra/kubernetes."""

import functools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.support.project import ROOT

Object = dict[str, Any]
FOLDER = ROOT / "infra/kubernetes"
OVERLAYS = ("overlays/local", "overlays/cloud")
BUILT = ("base", *OVERLAYS, "serving", "gpu-node")


@functools.cache
def kustomize() -> tuple[str, ...]:
    """The command that builds a folder; skips the test where there is none."""
    if shutil.which("kubectl"):
        about = subprocess.run(
            ["kubectl", "version", "--client", "-o", "json"], capture_output=True, check=True, timeout=60
        )
        version = re.match(r"v(\d+)\.(\d+)", json.loads(about.stdout).get("kustomizeVersion", ""))
        if version and (int(version[1]), int(version[2])) >= (5, 4):
            return "kubectl", "kustomize"
    if shutil.which("kustomize"):
        return "kustomize", "build"
    pytest.skip("neither kubectl 1.31 or newer nor kustomize 5.4 or newer is on this machine")


@functools.cache
def built(folder: Path | str) -> tuple[Object, ...]:
    """Every object of a folder, by its path or its name below infra/kubernetes."""
    command = [*kustomize(), str(FOLDER / folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not result.returncode, result.stderr
    return tuple(YAML(typ="safe").load_all(result.stdout))


def one(folder: Path | str, kind: str, name: str, namespace: str | None = None) -> Object:
    """The one object of this kind and name (and namespace)."""
    (found,) = (
        each
        for each in built(folder)
        if (each["kind"], each["metadata"]["name"]) == (kind, name)
        and namespace in (None, each["metadata"].get("namespace"))
    )
    return found


def pods(folder: Path | str) -> dict[str, Object]:
    """Every pod, by the name of what makes it."""
    return {
        each["metadata"]["name"]: each if each["kind"] == "Pod" else each["spec"]["template"]
        for each in built(folder)
        if each["kind"] in ("Pod", "Deployment")
    }


def containers(pod: Object) -> list[Object]:
    """Those that prepare a pod, then those that run in it."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def variables(container: Object) -> dict[str, Any]:
    """A container's environment: text, or where the text comes from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}


def references(pod: Object) -> set[tuple[str, str]]:
    """Kind and name of what a pod needs besides images."""
    spec = pod["spec"]
    found = {("ServiceAccount", spec["serviceAccountName"])} if "serviceAccountName" in spec else set()
    for volume in spec.get("volumes", []):
        if claim := volume.get("persistentVolumeClaim"):
            found.add(("PersistentVolumeClaim", claim["claimName"]))
    for container in containers(pod):
        found |= {("Secret", each["secretRef"]["name"]) for each in container.get("envFrom", [])}
        for source in variables(container).values():
            for key, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                if isinstance(source, dict) and key in source:
                    found.add((kind, source[key]["name"]))
    return found


def faults(pod: Object) -> set[str]:
    """What a pod would be allowed, or take, and should not."""
    spec, found = pod["spec"], set()
    own = spec.get("securityContext", {})
    if spec.get("automountServiceAccountToken") is not False:
        found.add("token")
    if not (own.get("runAsNonRoot") and own.get("runAsUser", 0) > 0):
        found.add("root")
    if own.get("seccompProfile") != {"type": "RuntimeDefault"}:
        found.add("seccomp")
    if any({"emptyDir", "persistentVolumeClaim"}.isdisjoint(volume) for volume in spec.get("volumes", [])):
        found.add("volume")
    if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        found.add("host")
    for container in containers(pod):
        context, resources = container.get("securityContext", {}), container.get("resources", {})
        if context.get("capabilities") != {"drop": ["ALL"]}:
            found.add("capabilities")
        if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
            found.add("privilege")
        if not context.get("readOnlyRootFilesystem"):
            found.add("root file system")
        if {"runAsUser", "runAsNonRoot"} & set(context):
            found.add("root")
        if any({"cpu", "memory"} - set(resources.get(key, {})) for key in ("requests", "limits")):
            found.add("resources")
    return found
