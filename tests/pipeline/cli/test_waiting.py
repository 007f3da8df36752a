"""`fashion submit --wait` and `fashion runs wait`, against KFP's REST API."""

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.common.errors import ClusterError, ExitCode, PipelineError
from pipeline.cli.kubeflow import submit
from pipeline.cli.runs import runs
from pipeline.kubeflow.client.api import Kfp
from tests.support.kfp_fixtures import fashion, start_run
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer, main_container
from tests.support.project import ROOT, environment_of

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("ready_to_submit")


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time goes by between two looks at a run."""
    monkeypatch.setattr("pipeline.kubeflow.client.wait.time.sleep", lambda _: None)


@pytest.mark.usefixtures("no_pause")
def test_wait(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    passed = start_run(kfp, packages["one"], "name", "e", {"n": 3})
    fashion(runs, "wait", passed.run_id)
    server.recorded = "failed"
    failed = start_run(kfp, packages["one"], "name", "e", {"n": 3})
    with pytest.raises(PipelineError) as caught:
        fashion(runs, "wait", failed.run_id)
    assert caught.value.exit_code == ExitCode.FAILED
    assert str(caught.value) == "the run failed in train: KFP does not tell why"
    assert server.url in caught.value.hint


@pytest.mark.usefixtures("no_pause")
def test_wait_after_submitting(server: KfpServer) -> None:
    server.recorded = "no-driver"
    with pytest.raises(PipelineError) as caught:
        fashion(submit, "--wait")
    assert caught.value.exit_code == ExitCode.FAILED
    server.recorded = "passed"
    with pytest.raises(ClusterError, match="after 0 s"):
        fashion(submit, "--wait", "--timeout", "0")


def test_interrupt_leaves_the_run_alone(server: KfpServer, packages: dict[str, Path]) -> None:
    run = start_run(Kfp(server.url), packages["one"], "name", "e", {"n": 3})
    server.looks[run.run_id] = [26]
    main = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests may run without
        "from pipeline.cli.main import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", main, "runs", "wait", run.run_id],
        env=environment_of(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert "ingest" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert f"fashion runs stop {run.run_id}" in errors
    assert server.calls_of("POST", ":terminate") == []


@pytest.mark.usefixtures("no_pause")
def test_wait_for_an_image_that_is_not_there(
    server: KfpServer, kube: KubeServer, packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pipeline.kubeflow.client.observe.time", SimpleNamespace(monotonic=iter(range(9999)).__next__)
    )
    waits = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "i"'}
    kube.add_pod("root.exit-handler-1.ingest.executor", **main_container("Pending", waiting=waits))
    run = start_run(Kfp(server.url), packages["one"], "name", "e", {"n": 3})
    server.looks[run.run_id] = [26]
    with pytest.raises(ClusterError, match="ingest cannot start, the image i cannot be pulled") as caught:
        fashion(runs, "wait", run.run_id)
    assert f"fashion runs stop {run.run_id}" in caught.value.hint
