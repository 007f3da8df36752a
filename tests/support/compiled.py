"""A compiled pipeline, parsed."""

from pathlib import Path
from typing import Any

import yaml
from google.protobuf.json_format import MessageToDict, ParseDict
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from tests.support.project import ROOT

GOLDEN = ROOT / "tests" / "golden"
STEPS = {"parameters", "ingest", "validate", "train", "evaluate", "gate", "register", "finish"}
"""The steps of the train pipeline."""
BATCH_STEPS = {"prepare", "predict", "report"}


def documents(path: Path) -> tuple[PipelineSpec, dict[str, KubernetesExecutorConfig]]:
    """A compiled pipeline, parsed by KFP's own protos: unknown fields are an error."""
    spec, platform = yaml.safe_load_all(path.read_text())
    ParseDict(platform, PlatformSpec())
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return ParseDict(spec, PipelineSpec()), {
        name.removeprefix("exec-"): ParseDict(config, KubernetesExecutorConfig())
        for name, config in executors.items()
    }


def container(spec: PipelineSpec, step: str) -> dict[str, Any]:
    """The container of a step: image, command, resources."""
    executor = MessageToDict(spec.deployment_spec)["executors"][f"exec-{step}"]
    return dict(executor["container"])


def tasks(spec: PipelineSpec) -> dict[str, Any]:
    """The tasks of all levels."""
    found = dict(spec.root.dag.tasks)
    for component in spec.components.values():
        found |= component.dag.tasks
    return found
