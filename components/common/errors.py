"""Errors that are the user's to mend: said in a line, with what to do, and without a traceback."""

import re
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of `fashion`, by kind of fault."""

    FAILED = 1
    USAGE = 2
    PARAMETERS = 3
    DATA = 4
    VALIDATION = 5
    TRAINING = 6
    TRACKING = 7
    STORAGE = 8
    CLUSTER = 9
    INTERRUPTED = 130


def redacted(text: str) -> str:
    """The text with user name and password taken out of every address in it."""
    return re.sub(r"://[^/\s]*@", "://", text)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 field`, `2 fields`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without secrets, or its type where it has no text."""
    return redacted(next(iter(str(error).strip().splitlines()), type(error).__name__))


SUBMIT_ANEW = "submit the run again, without the cache: `fashion submit --no-cache`"
"""What to do on a cluster about files of an earlier step that are not right."""
MLFLOW_SETTING = "the key MLFLOW_TRACKING_URI of the ConfigMap fashion-config"
"""Where the steps' pods have the address of MLflow from."""


class PipelineError(Exception):
    """A fault with its remedy.

    Args:
        message: What was wrong, and where.
        hint: What to do about it.
        cluster_hint: What to do about it where a pod says so. Empty: the same.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "", cluster_hint: str = "") -> None:
        super().__init__(redacted(message))
        self.hint = hint
        self.cluster_hint = cluster_hint or hint


class ParameterError(PipelineError):
    """A name, type or range in `params.yaml` is wrong."""

    exit_code = ExitCode.PARAMETERS


class DataError(PipelineError):
    """A data file is missing, damaged or not what `data.dvc` describes."""

    exit_code = ExitCode.DATA


class ValidationError(PipelineError):
    """The data broke a critical expectation."""

    exit_code = ExitCode.VALIDATION


class TrainingError(PipelineError):
    """Training cannot go on with these settings."""

    exit_code = ExitCode.TRAINING


class TrackingError(PipelineError):
    """The MLflow server cannot be reached, or refused a call."""

    exit_code = ExitCode.TRACKING


class StorageError(PipelineError):
    """The disk is full, a path is not writable, or object storage refuses or cannot be reached."""

    exit_code = ExitCode.STORAGE


class ClusterError(PipelineError):
    """Kubeflow Pipelines cannot be reached, or refused a call."""

    exit_code = ExitCode.CLUSTER
