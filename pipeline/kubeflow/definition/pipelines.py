"""The pipelines `train`, and `sweep`, which trains several candidates and takes the best."""

# KFP reads the annotations (so they are no strings), and knows typing.List, not list.
from typing import Any, List

from kfp import dsl, kubernetes

from pipeline.kubeflow.definition import components as steps
from pipeline.kubeflow.definition.resources import RETRY_WINDOW, Cluster
from pipeline.kubeflow.runtime.environment import CONFIG_KEYS, CONFIG_MAP, SECRET, SECRET_KEYS
from pipeline.kubeflow.runtime.step_parameters import SCALARS

NETWORK_LABEL = ("app.kubernetes.io/part-of", "fashion-pipeline")
"""The pod label that the network policies in infra/kubernetes select."""
STEP_MEMORY, STEP_CPU = ("1Gi", "4Gi"), ("250m", "4")
"""Request and limit of every step but training."""
DESCRIPTIONS = {
    "data_version": "The data's DVC version: a hash that ends in .dir.",
    "remote": "The DVC remote that has it, s3://BUCKET/PREFIX.",
    "code_version": "The code in the image, by a digest; a step refuses to run any other.",
    "model": "The network: a name of `fashion zoo list`.",
    "epochs": "Passes over the train images. 0: the model's own number.",
    "seed": "Of weights, split, shuffle and augmentation.",
    "accuracy_min": "The gate: lowest test accuracy.",
    "accuracy_lower_min": "The gate: lowest lower end of its 95 % interval. -1: no such rule.",
    "worst_recall_min": "The gate: lowest recall of the worst class. -1: no such rule.",
    "calibration_error_max": "The gate: highest expected calibration error. -1: no such rule.",
    "model_megabytes_max": "The gate: largest model file in MB. -1: no such rule.",
    "experiment": "The MLflow experiment.",
    "params": "The rest of params.yaml, as JSON.",
}
"""The arguments of the train pipeline, as the KFP UI describes them."""
SWEEP_DESCRIPTIONS = DESCRIPTIONS | {
    "model": "The network, where a candidate names none.",
    "epochs": "Passes over the train images, where a candidate says nothing. 0: the model's own number.",
    "candidates": 'Each "NAME=VALUE ..." of `model` and `train` in params.yaml.',
}


def train_pipeline(cluster: Cluster) -> Any:
    """Ingest, validate, train, evaluate, gate, and, if the model passed the gate, register (and deploy)."""

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
        _add_tasks(cluster, locals())

    fashion_mnist.__doc__ = docstring(DESCRIPTIONS)
    return dsl.pipeline(
        fashion_mnist,
        name="fashion-mnist",
        description="Data to champion: trained, evaluated, gated, registered in MLflow",
    )


def sweep_pipeline(cluster: Cluster) -> Any:
    """The same with several candidates, one training pod each; the best by validation accuracy goes on."""

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
        _add_tasks(cluster, locals())

    fashion_mnist_sweep.__doc__ = docstring(SWEEP_DESCRIPTIONS)
    return dsl.pipeline(
        fashion_mnist_sweep,
        name="fashion-mnist-sweep",
        description="Several candidates; the best one is evaluated and gated",
    )


def docstring(descriptions: dict[str, str]) -> str:
    """KFP reads the descriptions of the arguments from the pipeline function's docstring."""
    return "The pipeline.\n\nArgs:\n" + "".join(
        f"    {name}: {text}\n" for name, text in descriptions.items()
    )


def _add_tasks(cluster: Cluster, arguments: dict[str, Any]) -> None:
    """Adds the tasks of the pipeline; with `candidates` among its arguments, those of a sweep."""

    def add(step: Any, cached: bool = True, **inputs: Any) -> Any:
        task = step(code_version=arguments["code_version"], **inputs)
        return configure_pod(task, cluster, cached)

    candidates = {"candidates": arguments["candidates"]} if "candidates" in arguments else {}
    exit_task = configure_pod(steps.finish(experiment=arguments["experiment"]), cluster, cached=False)
    with dsl.ExitHandler(exit_task, name="pipeline"):
        checked = {name: arguments[name] for name in (*SCALARS, "params")}
        params = add(steps.parameters, **checked, **candidates).outputs
        ingest = add(steps.ingest, data_version=arguments["data_version"], remote=arguments["remote"])
        data = ingest.outputs["data"]
        validation = add(steps.validate, params=params["validate"], data=data).outputs["validation"]

        def train(params: Any) -> Any:
            task = add(steps.train, params=params, gpus=cluster.gpus, data=data, validation=validation)
            configure_heavy_pod(task, cluster)
            return task.outputs["trained"]

        if candidates:
            trainings = add(steps.plan, params=params["train"], **candidates).output
            with dsl.ParallelFor(trainings, name="candidates") as training:
                model = train(training)
            trained = add(steps.select, models=dsl.Collected(model)).outputs["trained"]
        else:
            trained = train(params["train"])
        upstream = {"validation": validation, "trained": trained}
        evaluate = add(steps.evaluate, params=params["evaluate"], data=data, **upstream)
        evaluation = evaluate.outputs["evaluation"]
        # Gate and registration are never taken from the cache: the registry may have changed since.
        judged = {"data": data, "evaluation": evaluation, **upstream}
        remote = arguments["remote"]
        gate = add(steps.gate, cached=False, params=params["gate"], remote=remote, **judged)
        with dsl.If(gate.outputs["Output"] == True, name="passed"):  # noqa: E712 - a channel, not a bool
            register = add(
                steps.register,
                cached=False,
                params=params["register"],
                verdict=gate.outputs["verdict"],
                **judged,
            )
            if cluster.deployment:
                deployment = cluster.deployment
                add(steps.deploy, cached=False, params=params["register"], deployment=deployment).after(
                    register
                )


def configure_pod(task: Any, cluster: Cluster, cached: bool) -> Any:
    """Sets what every step's pod has: image, environment, resources, and retries."""
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


def configure_heavy_pod(task: Any, cluster: Cluster) -> None:
    """Sets what a pod that trains or predicts has besides: GPUs, nodes, more resources, a time limit."""
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
