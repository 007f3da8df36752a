"""Versions of a small network in a real registry, and the server of `fashion serve` on one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities.model_registry import ModelVersion

from components.common.files import content_key, file_digest
from components.common.saved_model import save_model, weights_digest
from components.common.tensorflow import import_tensorflow
from components.register.logged_model import log_model
from components.registry.registry import FILE_TAG, GATE_TAG, TASK_TAG, WEIGHTS_TAG, Registry
from tests.support.ports import free_port, wait_for_http
from tests.support.project import environment_of

CLASSES = [f"class {number}" for number in range(10)]


def add_model(registry: Registry, data: Path, seed: int) -> ModelVersion:
    """Registers a network that is not trained, as the register step does."""
    import_tensorflow()
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((28, 28), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    client = registry.client
    experiment = client.get_experiment_by_name("small")
    run_id = client.create_run(
        experiment.experiment_id if experiment else client.create_experiment("small")
    ).info.run_id
    client.log_param(run_id, "data.classes", json.dumps(CLASSES))
    task = {"image_size": [28, 28], "classes": CLASSES}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        save_model(network, file)
        tags = {WEIGHTS_TAG: weights_digest(network), FILE_TAG: file_digest(file, "sha256")}
        source, model_id = log_model(client, file.parent, tags, task, run_id, data)
    more = {TASK_TAG: content_key(task), GATE_TAG: "passed", "test_accuracy": "0.1"}
    return registry.create_version(source, run_id, model_id, tags | more)


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    temporary: Path


@contextmanager
def serving(root: Path, temporary: Path, options: Sequence[str] = (), **variables: str) -> Iterator[Served]:
    """`fashion serve` in a folder, with options and environment variables of its own."""
    port = free_port()
    command = [sys.executable, "-m", "pipeline.cli.main", "serve", "--port", str(port), *options]
    environment = environment_of(root) | {"PYTHONPATH": str(Path.cwd()), "TMPDIR": str(temporary)} | variables
    with (temporary / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for_http(f"http://127.0.0.1:{port}/ping", process)
        yield Served(f"http://127.0.0.1:{port}", process, temporary)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.wait()
