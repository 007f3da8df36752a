"""Argo's workflow of a run: how it ended, who ended it, and its pods' errors."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.kubeflow.client.workflow import Workflow


def workflow(spec: dict[str, Any] | None = None, **status: Any) -> Workflow:
    return Workflow({"metadata": {"name": "wf"}, "spec": spec or {}, "status": status})


@pytest.mark.parametrize(
    ("phase", "state"),
    [("Running", ""), ("Succeeded", "SUCCEEDED"), ("Failed", "FAILED"), ("Error", "FAILED"), ("", "")],
)
def test_final_state(phase: str, state: str) -> None:
    assert workflow(phase=phase).final_state == state


def test_workflow_that_argo_has_not_seen_yet() -> None:
    new = Workflow({"metadata": {"name": "wf"}})
    assert (new.run_id, new.final_state, new.stopped, new.pod_errors) == ("", "", False, {})


@pytest.mark.parametrize(
    ("spec", "stopped"),
    [
        ({}, False),
        ({"activeDeadlineSeconds": 3600}, False),
        ({"activeDeadlineSeconds": 0}, True),
        ({"shutdown": "Terminate"}, True),
    ],
)
def test_stopped_by_kfp_or_by_a_shutdown(spec: dict[str, Any], stopped: bool) -> None:
    assert workflow(spec).stopped is stopped


def test_errors_of_pods_alone_without_argos_prefix() -> None:
    messages = {
        "wf.root.a": ("Pod", "Error", "task 'wf.root.a' errored: no service account"),
        "wf.root.b": ("Pod", "Failed", "main: Error (exit code 1): the disk is full"),
        "wf.root.c": ("Pod", "Failed", "main: Error (exit code 1)"),
        "wf.root.d": ("Pod", "Succeeded", "fine"),
        "wf.root": ("DAG", "Failed", "child failed"),
    }
    nodes = {
        name: {"name": name, "type": kind, "phase": phase, "message": message}
        for name, (kind, phase, message) in messages.items()
    }
    errors = {"root.a": "no service account", "root.b": "the disk is full", "root.c": ""}
    assert workflow(nodes=nodes).pod_errors == errors


def test_run_keeps_what_argo_does_not_know() -> None:
    tasks = SimpleNamespace(task_details=["kept"])
    last_run = SimpleNamespace(
        state="RUNNING", state_history=None, created_at=1, finished_at=None, run_details=tasks
    )
    run = workflow({"shutdown": "Terminate"}, phase="Failed", startedAt="2026-11-21T21:00:00Z").as_run(
        last_run
    )
    assert (run.state, run.created_at, run.finished_at, run.run_details) == ("FAILED", 1, None, tasks)
    assert [status.state for status in run.state_history] == ["CANCELING"]
    assert (last_run.state, last_run.state_history) == ("RUNNING", None)
