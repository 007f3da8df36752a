"""TensorFlow, which takes seconds to import and talks while it does."""

import os
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from components.common.errors import PipelineError

PACKAGES = ("tensorflow", "tensorflow-cpu")
DECIDING = ("TF_", "TF2_", "KERAS_", "ONEDNN_", "DNNL_", "XLA_", "NVIDIA_TF32_", "CUBLAS_")
"""Variables by which the environment changes what TensorFlow and Keras compute, by how their names begin."""
HARMLESS = (
    *("TF_CPP_", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR", "TF_GPU_THREAD_"),  # logs, memory
    "TF_NUM_",  # numbers of threads; that of a training is part of its description
    *("TF_CLI_", "TF_DATA_DIR", "TF_INPUT", "TF_IN_AUTOMATION", "TF_LOG", "TF_PLUGIN_"),  # Terraform's
    *("TF_REGISTRY_", "TF_TOKEN_", "TF_VAR_", "TF_WORKSPACE"),
)
"""Those of them that change nothing, or nothing unseen."""
FIXED = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": f"{os.devnull}/keras", "TF2_BEHAVIOR": "1"}
"""Keras on TensorFlow 2, with its own defaults: its home, a folder that cannot be, holds no `keras.json`."""


def fix_environment() -> None:
    """Makes TensorFlow and Keras compute the same whatever the environment or a home folder says.

    It holds for processes that are started later, too. What was set otherwise is said in a line.
    """
    found = {name for name in os.environ if name.startswith(DECIDING) and not name.startswith(HARMLESS)}
    ignored = sorted(name for name in found if os.environ[name] != FIXED.get(name))
    for name in found:
        del os.environ[name]
    os.environ |= FIXED
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if ignored:
        print(f"ignored, since it may change a model's weights: {', '.join(ignored)}", file=sys.stderr)


def import_tensorflow() -> ModuleType:
    """Imports TensorFlow in a fixed environment, as the last that is needed before `import keras`.

    Its notices on standard error, which no setting of its own hides, are shown when the import fails.

    Raises:
        PipelineError: TensorFlow is not installed.
    """
    if "tensorflow" not in sys.modules:  # later is too late, and finds what TensorFlow itself has set
        fix_environment()
    tensorflow_version()
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        try:
            os.dup2(notices.fileno(), 2)
            import tensorflow
        except BaseException:
            notices.seek(0)
            os.write(standard_error, notices.read())
            raise
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
    return tensorflow  # type: ignore[no-any-return]


def tensorflow_version() -> str:
    """The installed version, without importing it: `tensorflow` or its CPU build.

    Raises:
        PipelineError: Neither is installed.
    """
    return tensorflow_requirement().partition("==")[2]


def tensorflow_requirement() -> str:
    """The installed package and version, as `package==version`."""
    for package in PACKAGES:
        try:
            return f"{package}=={version(package)}"
        except PackageNotFoundError:
            continue
    raise PipelineError(
        "TensorFlow is not installed",
        "run `make setup`",
        "name an image that `make image` made: --image IMAGE",
    )
