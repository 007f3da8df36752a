"""The pods of the pipelines: resources, environment, cache and retries."""

from pathlib import Path
from typing import get_args

import pytest

from pipeline.kubeflow.definition.compiler import PipelineName
from pipeline.kubeflow.definition.resources import Toleration
from pipeline.kubeflow.runtime.environment import CONFIG_KEYS, SECRET_KEYS
from tests.golden.__main__ import write
from tests.support.compiled import GOLDEN, STEPS, container, documents, tasks


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


@pytest.mark.parametrize("name", ["train", "sweep"])
def test_with_a_deployment_the_last_step_rolls_it_to_the_champion(name: PipelineName, tmp_path: Path):
    spec, platform = documents(write(tmp_path, name, deployment="vision/api"))
    plain, steps = documents(GOLDEN / f"{name}.yaml")

    assert {*tasks(spec)} - {*tasks(plain)} == platform.keys() - steps.keys() == {"deploy"}
    task = tasks(spec)["deploy"]
    assert list(task.dependent_tasks) == ["register"]
    assert not task.caching_options.enable_cache
    assert task.inputs.parameters["deployment"].runtime_value.constant.string_value == "vision/api"
    # in the branch of a passed gate, as the registration
    (branch,) = [c for c in spec.components.values() if "deploy" in c.dag.tasks]
    assert set(branch.dag.tasks) == {"register", "deploy"}
