"""The compiled pipelines: what the cluster is asked for, and what it is told."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import yaml
from google.protobuf.json_format import MessageToDict, ParseDict
from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from components.common.errors import ParameterError
from pipeline.kubeflow.client.progress import steps_of
from pipeline.kubeflow.definition.compiler import PipelineName
from pipeline.kubeflow.definition.image import check_image
from pipeline.kubeflow.definition.resources import Toleration, parse_toleration
from pipeline.kubeflow.runtime.environment import CONFIG_KEYS, SECRET_KEYS
from pipeline.kubeflow.runtime.step_parameters import SCALARS
from tests.golden.__main__ import CANDIDATES, write
from tests.support.project import ROOT

GOLDEN = ROOT / "tests" / "golden"
STEPS = {"parameters", "ingest", "validate", "train", "evaluate", "gate", "register", "finish"}


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
    executor = MessageToDict(spec.deployment_spec)["executors"][f"exec-{step}"]
    return dict(executor["container"])


def tasks(spec: PipelineSpec) -> dict[str, Any]:
    """The tasks of all levels."""
    found = dict(spec.root.dag.tasks)
    for component in spec.components.values():
        found |= component.dag.tasks
    return found


@pytest.mark.parametrize("name", get_args(PipelineName))
def test_the_compiled_pipeline_is_the_golden_file(name: PipelineName, tmp_path: Path):
    assert write(tmp_path, name).read_bytes() == (GOLDEN / f"{name}.yaml").read_bytes(), (
        "look at the difference, and if it is meant: python -m tests.golden"
    )


@pytest.mark.parametrize("name", get_args(PipelineName))
def test_the_protos_know_all_of_it(name: PipelineName):
    spec, platform = documents(GOLDEN / f"{name}.yaml")

    expected = STEPS | {"plan", "select"} if name == "sweep" else STEPS
    assert platform.keys() == expected
    assert {e.removeprefix("exec-") for e in spec.deployment_spec["executors"]} == expected
    assert {container(spec, step)["image"] for step in expected} == {"fashion-pipeline:golden"}
    assert set(SCALARS) < set(spec.root.input_definitions.parameters)
    for field in spec.root.input_definitions.parameters.values():
        assert field.description


def test_training_asks_for_a_gpu_node_and_no_other_step_does(tmp_path: Path):
    path = write(
        tmp_path, "train", gpus=2, accelerator="amd.com/gpu", node_selector={"pool": "a"},
        tolerations=(Toleration("spot", "yes", "NoSchedule"),), cpu=("2", "6"), memory=("5Gi", "9Gi"),
        shared_memory="2Gi", time_limit=60, retries=5, backoff=7,
    )  # fmt: skip
    spec, platform = documents(path)

    resources = container(spec, "train")["resources"]
    assert resources["accelerator"]["resourceType"] == "amd.com/gpu"
    assert resources["accelerator"]["resourceCount"] == "2"
    assert (resources["resourceCpuRequest"], resources["resourceCpuLimit"]) == ("2", "6")
    assert (resources["resourceMemoryRequest"], resources["resourceMemoryLimit"]) == ("5Gi", "9Gi")
    train = platform.pop("train")
    assert dict(train.node_selector.labels) == {"pool": "a"}
    (toleration,) = train.tolerations
    assert (toleration.key, toleration.operator, toleration.value) == ("spot", "Equal", "yes")
    assert toleration.effect == "NoSchedule"
    (shared,) = train.empty_dir_mounts
    assert (shared.mount_path, shared.medium, shared.size_limit) == ("/dev/shm", "Memory", "2Gi")
    assert train.active_deadline_seconds == 60
    for step, config in platform.items():
        assert not config.node_selector.labels, step
        assert not config.tolerations, step
        assert "accelerator" not in container(spec, step)["resources"], step
    policy = tasks(spec)["train"].retry_policy
    assert (policy.max_retry_count, policy.backoff_duration.seconds) == (5, 7)
    assert policy.backoff_max_duration.seconds > 6 * 4 * 60 * 60  # KFP ends what goes on for longer


def test_without_gpus_training_runs_on_any_node(tmp_path: Path):
    spec, platform = documents(write(tmp_path, "train", gpus=0))

    assert "accelerator" not in container(spec, "train")["resources"]
    assert not platform["train"].node_selector.labels
    assert not platform["train"].tolerations


@pytest.mark.parametrize("name", get_args(PipelineName))
def test_secrets_come_by_name_and_no_value_is_in_the_file(
    name: PipelineName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for variable in (*SECRET_KEYS, *CONFIG_KEYS):
        monkeypatch.setenv(variable, f"do-not-tell-{variable}")
    path = write(tmp_path, name)

    assert "do-not-tell" not in path.read_text()
    for step, config in documents(path)[1].items():
        (secret,) = config.secret_as_env
        assert secret.secret_name == "fashion-storage", step
        assert {pair.env_var for pair in secret.key_to_env} == set(SECRET_KEYS)
        (config_map,) = config.config_map_as_env
        assert config_map.config_map_name == "fashion-config"
        assert {pair.env_var for pair in config_map.key_to_env} == set(CONFIG_KEYS)


def test_gate_register_and_summary_are_never_taken_from_the_cache():
    spec, _ = documents(GOLDEN / "train.yaml")
    cached = {name for name, task in tasks(spec).items() if task.caching_options.enable_cache}

    assert STEPS - cached == {"gate", "register", "finish"}


def test_every_step_takes_the_versions_of_code_and_data_as_inputs():
    spec, _ = documents(GOLDEN / "train.yaml")

    for step in STEPS - {"finish"}:
        assert "code_version" in spec.components[f"comp-{step}"].input_definitions.parameters, step
    assert "data_version" in spec.components["comp-ingest"].input_definitions.parameters


@pytest.mark.parametrize(
    "image", ["", "fashion-pipeline", "fashion-pipeline:latest", "host:5000/fashion", "x@sha256:12"]
)
def test_an_image_whose_name_does_not_tell_its_content_is_refused(image: str):
    with pytest.raises(ParameterError):
        check_image(image)


@pytest.mark.parametrize("image", ["host:5000/fashion:abc", f"fashion@sha256:{'a' * 64}"])
def test_an_image_by_commit_or_digest_is_taken(image: str):
    assert check_image(image) == image


def test_a_toleration_is_read_as_kubectl_writes_a_taint():
    assert parse_toleration("nvidia.com/gpu") == Toleration("nvidia.com/gpu")
    assert parse_toleration("a=b:NoExecute") == Toleration("a", "b", "NoExecute")
    with pytest.raises(ParameterError):
        parse_toleration("a=b:Never")


def test_whoever_waits_for_a_sweep_sees_a_training_for_each_candidate():
    spec = next(yaml.safe_load_all((GOLDEN / "sweep.yaml").read_text()))
    run = SimpleNamespace(pipeline_spec=spec, runtime_config=None)

    trainings = [step.label for step in steps_of(run) if step.task == "train"]

    assert trainings == [f"train {candidate}" for candidate in CANDIDATES]
