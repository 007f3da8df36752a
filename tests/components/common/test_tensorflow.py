"""The environment in which TensorFlow is imported."""

import os
import sys
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.common.tensorflow import fix_environment, tensorflow_requirement, tensorflow_version
from tests.support.project import ROOT, Project, environment_of


def test_variables_that_change_results_are_removed_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    for name, value in (
        ("TF_ENABLE_ONEDNN_OPTS", "0"),
        ("KERAS_BACKEND", "jax"),
        ("TF_NUM_INTRAOP_THREADS", "2"),
        ("TF_VAR_REGION", "a"),
    ):
        monkeypatch.setenv(name, value)

    fix_environment()

    assert "TF_ENABLE_ONEDNN_OPTS" not in os.environ
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "2"
    assert os.environ["TF_VAR_REGION"] == "a"
    assert capsys.readouterr().err.splitlines() == [
        "ignored, since it may change a model's weights: KERAS_BACKEND, TF_ENABLE_ONEDNN_OPTS"
    ]
    fix_environment()
    assert capsys.readouterr().err == ""


def test_notices_of_an_import_that_fails_are_shown(tmp_path: Path):
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'a notice of the library\\n')\nraise ImportError('damaged')\n"
    )
    environment = environment_of(tmp_path) | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    script = "from components.common.tensorflow import import_tensorflow; import_tensorflow()"

    result = Project(tmp_path, environment).run(sys.executable, "-c", script, code=1)

    assert "a notice of the library" in result.stderr


def test_without_tensorflow_the_version_is_an_error(monkeypatch: pytest.MonkeyPatch):
    assert tensorflow_requirement().endswith(f"=={tensorflow_version()}")
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(PipelineError, match="TensorFlow is not installed"):
        tensorflow_version()
