"""The two pipelines: `train`, and `sweep`, which trains several candidates and takes the best."""

# KFP reads the annotations (so they are no strings), and knows typing.List, not list.
from typing import Any, List

from kfp import dsl, kubernetes

from pipeline.kubeflow.definition import components as steps
from pipeline.kubeflow.definition.resources import RETRY_WINDOW, Cluster
from pipeline.kubeflow.runtime.environment import CONFIG_KEYS, CONFIG_MAP, SECRET, SECRET_KEYS

NETWORK_LABEL = ("app.kubernetes.io/part-of", "fashion-pipeline")
"""The label by which the network policies of infra/kubernetes select the steps' pods."""
STEP_MEMORY, STEP_CPU = ("1Gi", "4Gi"), ("250m", "4")
"""Request and limit of a step other than training."""


def train_pipeline(cluster: Cluster) -> Any:
    """Ingest, validate, train, evaluate, gate, and, if passed, register."""

    @dsl.pipeline(
        name="fashion-mnist", description="Data to champion: trained, evaluated, gated, registered in MLflow"
    )
    def fashion_mnist(
        data_version: str,
        remote: str,
        code_version: str,
        model: str,
        epochs: int,
        seed: int,
        accuracy_min: float,
        accuracy_lower_min: float,
        worst_recall_min: float,
        calibration_error_max: float,
        model_megabytes_max: float,
        experiment: str,
        params: str,
    ) -> None:
        """Data to champion.

        Args:
            data_version: The data's DVC version: a hash that ends in .dir.
            remote: The DVC remote that has it, s3://BUCKET/PREFIX.
            code_version: The code in the image, by a digest; a step refuses to run any other.
            model: The network: a name of `fashion model list`.
            epochs: Passes over the train images. 0: the model's own number.
            seed: Of weights, split, shuffle and augmentation.
            accuracy_min: The gate: lowest test accuracy.
            accuracy_lower_min: The gate: lowest lower end of its 95 % interval. -1: no such rule.
            worst_recall_min: The gate: lowest recall of the worst class. -1: no such rule.
            calibration_error_max: The gate: highest expected calibration error. -1: no such rule.
            model_megabytes_max: The gate: largest model file in MB. -1: no such rule.
            experiment: The MLflow experiment.
            params: The rest of params.yaml, as JSON.
        """
        arguments = locals()
        end = _pod(steps.finish(experiment=experiment), cluster, cached=False)
        with dsl.ExitHandler(end, name="pipeline"):
            given = _parameters(cluster, arguments)
            data, validation = _data(cluster, code_version, data_version, remote, given)
            trained = steps.train(
                code_version=code_version,
                params=given.outputs["train"],
                gpus=cluster.gpus,
                data=data,
                validation=validation,
            )
            _training_pod(trained, cluster)
            _judge(cluster, code_version, given, data, validation, trained.outputs["trained"])

    return fashion_mnist


def sweep_pipeline(cluster: Cluster) -> Any:
    """The same with several candidates, one GPU pod each; the best by validation accuracy goes on."""

    @dsl.pipeline(
        name="fashion-mnist-sweep", description="Several candidates; the best one is evaluated and gated"
    )
    def fashion_mnist_sweep(
        data_version: str,
        remote: str,
        code_version: str,
        model: str,
        epochs: int,
        seed: int,
        accuracy_min: float,
        accuracy_lower_min: float,
        worst_recall_min: float,
        calibration_error_max: float,
        model_megabytes_max: float,
        experiment: str,
        params: str,
        candidates: List[str],
    ) -> None:
        """The best of several candidates.

        Args:
            data_version: The data's DVC version: a hash that ends in .dir.
            remote: The DVC remote that has it, s3://BUCKET/PREFIX.
            code_version: The code in the image, by a digest; a step refuses to run any other.
            model: The network, where a candidate names none.
            epochs: Passes over the train images, where a candidate says nothing. 0: the model's own number.
            seed: Of weights, split, shuffle and augmentation.
            accuracy_min: The gate: lowest test accuracy.
            accuracy_lower_min: The gate: lowest lower end of its 95 % interval. -1: no such rule.
            worst_recall_min: The gate: lowest recall of the worst class. -1: no such rule.
            calibration_error_max: The gate: highest expected calibration error. -1: no such rule.
            model_megabytes_max: The gate: largest model file in MB. -1: no such rule.
            experiment: The MLflow experiment.
            params: The rest of params.yaml, as JSON.
            candidates: Each "NAME=VALUE ..." of `model` and `train` in params.yaml.
        """
        arguments = locals()
        end = _pod(steps.finish(experiment=experiment), cluster, cached=False)
        with dsl.ExitHandler(end, name="pipeline"):
            given = _parameters(cluster, arguments)
            data, validation = _data(cluster, code_version, data_version, remote, given)
            planned = _pod(
                steps.plan(code_version=code_version, params=given.outputs["train"], candidates=candidates),
                cluster,
            )
            with dsl.ParallelFor(planned.output, name="candidates") as training:
                each = steps.train(
                    code_version=code_version,
                    params=training,
                    gpus=cluster.gpus,
                    data=data,
                    validation=validation,
                )
                _training_pod(each, cluster)
            best = _pod(
                steps.select(code_version=code_version, models=dsl.Collected(each.outputs["trained"])),
                cluster,
            )
            _judge(cluster, code_version, given, data, validation, best.outputs["trained"])

    return fashion_mnist_sweep


def _parameters(cluster: Cluster, arguments: dict[str, Any]) -> Any:
    """The step `parameters`, with those of the pipeline's arguments that it takes."""
    names = steps.parameters.component_spec.inputs
    return _pod(steps.parameters(**{name: arguments[name] for name in names if name in arguments}), cluster)


def _data(cluster: Cluster, code_version: Any, data_version: Any, remote: Any, given: Any) -> tuple[Any, Any]:
    data = steps.ingest(code_version=code_version, data_version=data_version, remote=remote)
    validation = steps.validate(
        code_version=code_version, params=given.outputs["validate"], data=data.outputs["data"]
    )
    for task in (data, validation):
        _pod(task, cluster)
    return data.outputs["data"], validation.outputs["validation"]


def _judge(cluster: Cluster, code_version: Any, given: Any, data: Any, validation: Any, trained: Any) -> None:
    measured = steps.evaluate(
        code_version=code_version,
        params=given.outputs["evaluate"],
        data=data,
        validation=validation,
        trained=trained,
    )
    judged = steps.gate(
        code_version=code_version,
        params=given.outputs["gate"],
        validation=validation,
        trained=trained,
        evaluation=measured.outputs["evaluation"],
    )
    _pod(measured, cluster)
    _pod(judged, cluster, cached=False)  # a verdict is never taken from the cache
    with dsl.If(judged.outputs["Output"] == True, name="passed"):  # noqa: E712 - a channel, not a bool
        registered = steps.register(
            code_version=code_version,
            params=given.outputs["register"],
            data=data,
            validation=validation,
            trained=trained,
            evaluation=measured.outputs["evaluation"],
            verdict=judged.outputs["verdict"],
        )
        _pod(registered, cluster, cached=False)  # the registry is outside: it may have changed


def _pod(task: Any, cluster: Cluster, cached: bool = True) -> Any:
    """Sets what every step's pod has: image, environment, resources, and retries for a lost node."""
    task.set_container_image(cluster.image)
    task.set_caching_options(cached)
    task.set_cpu_request(STEP_CPU[0]).set_cpu_limit(STEP_CPU[1])
    task.set_memory_request(STEP_MEMORY[0]).set_memory_limit(STEP_MEMORY[1])
    if cluster.retries:
        task.set_retry(
            cluster.retries,
            backoff_duration=f"{cluster.backoff}s",
            backoff_factor=2.0,
            backoff_max_duration=f"{RETRY_WINDOW}s",
        )
    kubernetes.use_config_map_as_env(task, CONFIG_MAP, {key: key for key in CONFIG_KEYS}, optional=True)
    kubernetes.use_secret_as_env(task, SECRET, {key: key for key in SECRET_KEYS}, optional=True)
    kubernetes.add_pod_label(task, *NETWORK_LABEL)
    kubernetes.use_field_path_as_env(task, "FASHION_RUN_ID", "metadata.labels['pipeline/runid']")
    return task


def _training_pod(task: Any, cluster: Cluster) -> None:
    """Sets what a training pod has: GPUs, the node that has them, more resources, and a time limit."""
    _pod(task, cluster)
    task.set_cpu_request(cluster.cpu[0]).set_cpu_limit(cluster.cpu[1])
    task.set_memory_request(cluster.memory[0]).set_memory_limit(cluster.memory[1])
    if cluster.gpus:
        task.set_accelerator_type(cluster.accelerator).set_accelerator_limit(cluster.gpus)
    for label, value in cluster.selector.items():
        kubernetes.add_node_selector(task, label, value)
    for taint in cluster.tolerated:
        kubernetes.add_toleration(
            task,
            key=taint.key,
            operator="Equal" if taint.value else "Exists",
            value=taint.value or None,
            effect=taint.effect,
        )
    kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", "Memory", cluster.shared_memory)  # noqa: S108
    kubernetes.set_timeout(task, cluster.time_limit)
