"""The record of a training, `training.json`: how two differ, and which `params.yaml` gives one again."""

from __future__ import annotations

from typing import Any

Difference = tuple[str, str, str]
"""The name of an input, its value in the recorded training, and its value now."""


def differences(recorded: dict[str, Any], made: dict[str, Any]) -> list[Difference]:
    """The inputs of two trainings that differ, each by the content of its `training.json`."""
    before, now = _inputs(recorded), _inputs(made)
    names = [*before, *(name for name in now if name not in before)]
    return [
        (name, before.get(name, ""), now.get(name, "")) for name in names if before.get(name) != now.get(name)
    ]


def with_recorded(content: dict[str, Any], recorded: dict[str, Any]) -> dict[str, Any]:
    """The content of `params.yaml` with the sections of a recorded training.

    The record has all settings, also those of the model zoo that have no effect with the others: these are
    left empty, since `params.yaml` must not set them.
    """
    train = dict(recorded["train"])
    if train["optimizer"] == "adam":
        train["momentum"] = None
    if train["schedule"] == "constant":
        train["warmup"] = None
    return content | recorded | {"train": train}


def _inputs(training: dict[str, Any]) -> dict[str, str]:
    from pipeline.tracking.recording import flatten

    versions = {name: training[name] for name in ("data_version", "code_version")} | training["libraries"]
    machines = {f"machine from epoch {each['first_epoch']}": each for each in training["machines"]}
    return flatten(versions | training["params"] | machines)
