"""Imports TensorFlow in an environment that does not change its results, without its notices."""

import os
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from components.common.errors import PipelineError

PREFIXES = ("TF_", "TF2_", "KERAS_", "ONEDNN_", "DNNL_", "XLA_", "NVIDIA_TF32_", "CUBLAS_")
"""Prefixes of the environment variables that can change what TensorFlow and Keras compute."""
HARMLESS = (
    *("TF_CPP_", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR", "TF_GPU_THREAD_"),  # logs, memory
    "TF_NUM_",  # numbers of threads, which are part of the description of a training
    *("TF_CLI_", "TF_DATA_DIR", "TF_INPUT", "TF_IN_AUTOMATION", "TF_LOG", "TF_PLUGIN_"),  # Terraform's
    *("TF_REGISTRY_", "TF_TOKEN_", "TF_VAR_", "TF_WORKSPACE"),
)
"""Prefixes of variables among them that do not."""
FIXED = {"KERAS_BACKEND": "tensorflow", "KERAS_HOME": f"{os.devnull}/keras", "TF2_BEHAVIOR": "1"}
"""Keras on TensorFlow 2 with default settings: no `keras.json` can be below /dev/null."""


def fix_environment() -> None:
    """Removes or fixes environment variables that can change results of TensorFlow and Keras.

    Processes that are started later inherit this. The names of ignored variables are printed.
    """
    found = {name for name in os.environ if name.startswith(PREFIXES) and not name.startswith(HARMLESS)}
    ignored = sorted(name for name in found if os.environ[name] != FIXED.get(name))
    for name in found:
        del os.environ[name]
    os.environ |= FIXED
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if ignored:
        print(f"ignored, since it may change a model's weights: {', '.join(ignored)}", file=sys.stderr)


def import_tensorflow() -> ModuleType:
    """Imports TensorFlow in the fixed environment; call this before `import keras`.

    Its notices on standard error, which no setting hides, are shown only if the import fails.

    Raises:
        PipelineError: TensorFlow is not installed.
    """
    if "tensorflow" not in sys.modules:  # an imported TensorFlow has set variables of its own
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
    """The installed version, without importing TensorFlow."""
    return tensorflow_requirement().partition("==")[2]


def tensorflow_requirement() -> str:
    """The installed package, TensorFlow or its CPU build, as `package==version`.

    Raises:
        PipelineError: Neither is installed.
    """
    for package in ("tensorflow", "tensorflow-cpu"):
        try:
            return f"{package}=={version(package)}"
        except PackageNotFoundError:
            continue
    raise PipelineError(
        "TensorFlow is not installed",
        "run `make setup`",
        "name an image that `make image` made: --image IMAGE",
    )
