"""TensorFlow, which takes seconds to import and talks while it does."""

import os
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from components.common.errors import PipelineError

PACKAGES = ("tensorflow", "tensorflow-cpu")


def import_tensorflow() -> ModuleType:
    """Imports TensorFlow without its notices on standard error, which no setting of its own hides.

    What it wrote is shown when the import fails.

    Raises:
        PipelineError: TensorFlow is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
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
