"""`fashion runs`, against KFP's REST API."""

from pathlib import Path

import pytest

from pipeline.cli.runs import runs
from pipeline.kubeflow.client.api import Kfp
from tests.support.kfp_fixtures import fashion, start_run
from tests.support.kfp_server import KfpServer

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("ready_to_submit")


def test_stop(server: KfpServer, packages: dict[str, Path]) -> None:
    run = start_run(Kfp(server.url), packages["one"], "name", "e", {"n": 3})
    assert fashion(runs, "stop", run.run_id).splitlines()[-1] == "the run has ended"
    assert len(server.calls_of("POST", f"{run.run_id}:terminate")) == 1
