"""The logged model: whoever loads it needs no code of this project."""

import json
import sys
from pathlib import Path

import numpy as np

from components.common import idx
from tests.support.mlflow_server import Server
from tests.support.project import Project


def test_whoever_loads_the_model_needs_no_code_of_this_project(
    served: Project, subset: Path, tmp_path: Path, mlflow_server: Server
):
    script = (
        "import sys, json, mlflow, numpy as np\n"
        "images = np.fromfile(sys.argv[1], np.uint8, offset=16).reshape(-1, 28, 28)\n"
        "model = mlflow.pyfunc.load_model('models:/fashion-mnist@champion')\n"
        "p = model.predict(images)\n"
        "assert not {'components', 'pipeline'} & sys.modules.keys()\n"
        "try: model.predict(images.astype('float32')); sys.exit('floats were accepted')\n"
        "except mlflow.exceptions.MlflowException: pass\n"
        "keras = mlflow.keras.load_model('models:/fashion-mnist@champion')\n"
        "np.testing.assert_allclose(keras.predict(images[:2], verbose=0), p[:2], rtol=1e-4)\n"
        "info = mlflow.models.get_model_info('models:/fashion-mnist@champion')\n"
        "example = mlflow.models.Model.load('models:/fashion-mnist@champion').load_input_example()\n"
        "print(json.dumps([p.shape, str(p.dtype), p.argmax(axis=1).tolist(), str(info.signature.inputs),"
        " str(info.signature.outputs), np.shape(example), sorted(info.flavors)]))"
    )
    elsewhere = Project(
        tmp_path,
        served.environment | {"PYTHONPATH": "", "MLFLOW_TRACKING_URI": mlflow_server.url},
    )
    result = elsewhere.run(sys.executable, "-c", script, str(subset / idx.file_name("test", "images")))

    shape, dtype, predicted, inputs, outputs, example, flavors = json.loads(
        result.stdout.strip().splitlines()[-1]
    )
    _, labels = idx.read_split(subset, "test")
    assert (shape, dtype, example) == ([500, 10], "float32", [2, 28, 28])
    assert "keras" in flavors
    assert "uint8" in inputs
    assert "(-1, 28, 28)" in inputs
    assert "(-1, 10)" in outputs
    assert np.mean(predicted == labels) == served.json("outputs/evaluate/metrics.json")["accuracy"]


def test_registration_does_not_wait_for_tensorflow_and_says_what_it_did_alone(project: Project):
    script = (
        "import sys; from pipeline.cli.main import main\n"
        "sys.argv = ['fashion', 'step', 'register']; main()\n"
        "assert not {'keras', 'tensorflow'} & sys.modules.keys()"
    )
    project.fashion("step", "gate")

    result = project.run(sys.executable, "-c", script)

    assert result.stdout == "fashion-mnist version 1 is champion: passed; there is no other champion\n"
    assert not result.stderr


def test_a_model_that_is_not_what_training_wrote_is_not_logged(project: Project):
    project.fashion("step", "gate")
    with (project.root / "outputs/train/model.keras").open("ab") as file:
        file.write(b"more")

    result = project.fashion("step", "register", code=1)

    assert "model.keras has the SHA-256" in result.stderr
    assert not list(project.root.glob("mlruns/artifacts/models/*"))
