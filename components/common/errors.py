"""Errors that the user can correct. The command prints the message and a hint, without a traceback."""

import re
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of `fashion`, by kind of error."""

    FAILED = 1
    USAGE = 2
    PARAMETERS = 3
    DATA = 4
    VALIDATION = 5
    TRAINING = 6
    TRACKING = 7
    STORAGE = 8
    CLUSTER = 9
    SKIPPED = 10
    INTERRUPTED = 130


def redacted(text: str) -> str:
    """The text without the user name and the password of each URL in it."""
    return re.sub(r"://[^/\s]*@", "://", text)


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 field`, `2 fields`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def first_line(error: BaseException) -> str:
    """The first line of an error's message, without passwords, or its type if the message is empty."""
    return redacted(next(iter(str(error).strip().splitlines()), type(error).__name__))


SUBMIT_ANEW = "submit the run again, without the cache: `fashion submit --no-cache`"
"""What to do on a cluster if a file of an earlier step is missing or damaged."""
MLFLOW_SETTING = "the key MLFLOW_TRACKING_URI of the ConfigMap fashion-config"
"""The setting from which the pods take the address of MLflow."""


class PipelineError(Exception):
    """An error with a hint.

    Args:
        message: What is wrong, and where.
        hint: What to do about it.
        cluster_hint: What to do about it if the error occurs in a pod, if that differs.
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
    """Training cannot continue with these settings."""

    exit_code = ExitCode.TRAINING


class TrackingError(PipelineError):
    """The MLflow server cannot be reached, or refused a request."""

    exit_code = ExitCode.TRACKING


class StorageError(PipelineError):
    """The disk is full, a path is not writable, or object storage refuses or cannot be reached."""

    exit_code = ExitCode.STORAGE


class ClusterError(PipelineError):
    """Kubeflow Pipelines cannot be reached, or refused a request."""

    exit_code = ExitCode.CLUSTER


class SkippedError(PipelineError):
    """Some pictures could not be read; the others were predicted."""

    exit_code = ExitCode.SKIPPED
