"""A compiled pipeline in the format of KFP's API."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.kubeflow.client.api import Kfp
from tests.support.kfp_fixtures import start_run
from tests.support.kfp_server import KfpServer

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


def tasks_of(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every task of a pipeline, however deep."""
    components = (spec["root"], *spec["components"].values())
    return {name: task for one in components for name, task in one.get("dag", {}).get("tasks", {}).items()}


def test_caching_is_as_compiled_or_off_everywhere(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    start_run(kfp, packages["one"], "a", "e", {"n": 1})
    start_run(kfp, packages["one"], "b", "e", {"n": 1}, cached=False)
    first, second = (tasks_of(run["pipeline_spec"]["pipeline_spec"]) for run in server.runs)
    cached = {name for name, task in first.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert cached == {"ingest", "train", "gate"}
    assert {name: task["cachingOptions"] for name, task in second.items()} == {name: {} for name in first}
