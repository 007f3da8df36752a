"""The connection to KFP and the submission of runs, against a server that speaks KFP's REST API."""

import time
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import ClusterError, ExitCode
from pipeline.kubeflow.client.api import Kfp, Submitted
from pipeline.kubeflow.client.connection import UnreachableError
from tests.support.json_server import Fault, self_signed, serving
from tests.support.kfp_server import KfpServer
from tests.support.kube_server import KubeServer
from tests.support.ports import free_port

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")

HTML = "<!doctype html><html><body>Please log in</body></html>"


def tasks_of(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every task of a pipeline, however deep."""
    components = (spec["root"], *spec["components"].values())
    return {name: task for one in components for name, task in one.get("dag", {}).get("tasks", {}).items()}


def error_of(host: str, **options: Any) -> ClusterError:
    """What a connection fails with, within seconds."""
    since = time.monotonic()
    with pytest.raises(ClusterError) as caught:
        Kfp(host, **options)
    assert time.monotonic() - since < 3
    assert caught.value.exit_code == ExitCode.CLUSTER
    assert caught.value.hint
    assert "\n" not in str(caught.value) + caught.value.hint
    return caught.value


@pytest.mark.usefixtures("server")
def test_no_host_is_no_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "KFP_HOST" in error_of("").hint
    assert "http://" in error_of("localhost:8888").hint
    error_of("ftp://localhost")
    error_of("http://")
    monkeypatch.setenv("KFP_HOST", "nowhere")
    assert "'nowhere'" in str(error_of(""))


def test_host_of_the_environment_and_of_a_browser(server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_HOST", f"{server.url}/")
    assert Kfp().host == server.url
    assert Kfp(f"{server.url}/#/runs").url("x") == f"{server.url}/#/runs/details/x"


def test_host_that_is_down() -> None:
    error = error_of(f"http://me:secret@127.0.0.1:{free_port()}")
    assert isinstance(error, UnreachableError)
    assert "secret" not in str(error) + error.hint


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("healthz", 200, HTML, "text/html"), "not as KFP"),
        (Fault("healthz", 200, "{}"), "not as KFP"),
        (Fault("healthz", 200, '["multi_user"]'), "not as KFP"),
        (Fault("healthz", 404, HTML, "text/html"), "404"),
        (Fault("healthz", 302, HTML, "text/html", headers={"Location": "/login"}), "302"),
        (Fault("healthz", 401, HTML, "text/html"), "wants a token"),
        (Fault("healthz", 403, HTML, "text/html"), "wants a token"),
        (Fault("healthz", 503, "no healthy upstream", "text/plain"), "503"),
    ],
)
def test_address_that_is_not_kfp(server: KfpServer, fault: Fault, words: str) -> None:
    server.faults.append(fault)
    error = error_of(server.url)
    assert words in str(error)
    assert isinstance(error, UnreachableError) is (fault.status == 503)
    assert len(server.calls) == 1  # not asked again, and nothing else asked


def test_login_page_behind_an_open_health_check(server: KfpServer, packages: dict[str, Path]) -> None:
    server.faults.append(Fault("experiments", 200, HTML, "text/html"))
    with pytest.raises(ClusterError, match="not as KFP"):
        Kfp(server.url).submit(packages["one"], "name", "e", {"n": 1})


def test_token_is_sent_with_each_call_and_read_anew(tmp_path: Path, packages: dict[str, Path]) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    with serving(KfpServer(token="first")) as server:
        kfp = Kfp(server.url, token_file=file)
        kfp.submit(packages["one"], "name", "e", {"n": 1})
        file.write_text("second")
        server.token = "second"
        kfp.submit(packages["one"], "name", "e", {"n": 1})
    sent = [call.headers["authorization"] for call in server.calls]
    assert sent == ["Bearer first"] * 4 + ["Bearer second"] * 2


def test_refused_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wrong-token")
    with serving(KfpServer(token="right")) as server:
        error = error_of(server.url, token_file=file)
    assert str(file) in str(error)
    assert "wrong-token" not in str(error) + error.hint


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"\xff\xfe"])
def test_file_that_holds_no_token(server: KfpServer, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    assert str(file) in str(error_of(server.url, token_file=file))
    assert server.calls == []


def test_certificate_authority_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = self_signed(tmp_path / "own.pem")
    with serving(KfpServer(), file) as server:
        assert "not trusted" in str(error_of(server.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert Kfp(server.url).latest_runs("e", 1) == []


def test_server_that_hangs(
    server: KfpServer, monkeypatch: pytest.MonkeyPatch, packages: dict[str, Path]
) -> None:
    monkeypatch.setattr("pipeline.kubeflow.client.connection.ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("pipeline.kubeflow.client.api.ANSWER_SECONDS", 0.2)
    kfp = Kfp(server.url)
    server.faults.append(Fault("", 0))
    assert isinstance(error_of(server.url), UnreachableError)
    with pytest.raises(UnreachableError):
        kfp.submit(packages["one"], "name", "e", {"n": 1})
    assert len(server.calls) == 3  # each was tried once


def test_missing_certificate_authority(server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    assert "/no/such/file.pem" in str(error_of(server.url))


def test_single_user_kfp_gets_no_namespace(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url, "kubeflow")
    kfp.submit(packages["one"], "name", "e", {"n": 1})
    assert (kfp.namespace, Kfp(server.url).namespace) == ("kubeflow", "kubeflow")
    assert [call.query.get("namespace") for call in server.calls] == [None] * len(server.calls)
    assert "namespace" not in server.calls_of("POST", "experiments")[0].body


@pytest.mark.usefixtures("kube")
def test_namespace_of_a_single_user_kfp_is_looked_up(server: KfpServer) -> None:
    assert Kfp(server.url, "team").namespace == "team"
    assert "'nonsense'" in str(error_of(server.url, namespace="nonsense"))


def test_namespace_that_nobody_can_look_up(server: KfpServer) -> None:
    assert "KUBECONFIG" in error_of(server.url, namespace="team").hint


def test_namespace_of_a_kfp_for_several_users(packages: dict[str, Path]) -> None:
    with serving(KfpServer(users=("mine",))) as server:
        assert "--namespace" in error_of(server.url).hint
        assert "'u' is not authorized" in str(error_of(server.url, namespace="theirs"))
        Kfp(server.url, "mine").submit(packages["one"], "name", "e", {"n": 1})
    assert server.experiments[0]["namespace"] == "mine"
    listed = [call.query.get("namespace") for call in server.calls_of("GET", "experiments")]
    assert listed == ["theirs", "mine", "mine"]


def test_submitted_run_is_the_package(server: KfpServer, packages: dict[str, Path]) -> None:
    from kfp.client.client import _extract_pipeline_yaml

    kfp = Kfp(server.url)
    run = kfp.submit(packages["one"], "a name", "an experiment", {"n": 3, "mode": "x"}, service_account="sa")
    assert run == Submitted(server.runs[0]["run_id"], "a name", f"{server.url}/#/runs/details/{run.run_id}")
    assert server.calls_of("POST", "runs")[0].body == {
        "experiment_id": server.experiments[0]["experiment_id"],
        "display_name": "a name",
        "pipeline_spec": _extract_pipeline_yaml(str(packages["one"])).to_dict(),
        "runtime_config": {"parameters": {"n": 3, "mode": "x"}},
        "service_account": "sa",
    }
    assert "platform_spec" in server.runs[0]["pipeline_spec"]
    kfp.submit(packages["several"], "b", "an experiment", {"n": 3, "candidates": ["a", "b"]})
    assert [run["experiment_id"] for run in server.runs] == [server.experiments[0]["experiment_id"]] * 2
    assert len(server.experiments) == 1
    assert "service_account" not in server.runs[1]


def test_caching_is_as_compiled_or_off_everywhere(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    kfp.submit(packages["one"], "a", "e", {"n": 1})
    kfp.submit(packages["one"], "b", "e", {"n": 1}, cached=False)
    first, second = (tasks_of(run["pipeline_spec"]["pipeline_spec"]) for run in server.runs)
    cached = {name for name, task in first.items() if task.get("cachingOptions", {}).get("enableCache")}
    assert cached == {"ingest", "train", "gate"}
    assert {name: task["cachingOptions"] for name, task in second.items()} == {name: {} for name in first}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 1, "nn": 2}, "parameter(s) provided are not required by pipeline: nn"),
        ({}, "parameter n is not optional, yet has neither default value"),
        ({"n": "x"}, "input parameter n requires type NUMBER_INTEGER"),
    ],
)
def test_bad_parameter_is_named_by_the_server(
    server: KfpServer, packages: dict[str, Path], arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClusterError) as caught:
        Kfp(server.url).submit(packages["one"], "name", "e", arguments)
    assert str(caught.value) == f"KFP at {server.url} refuses: {words}"
    assert server.runs == []


def test_submission_is_not_repeated(server: KfpServer, packages: dict[str, Path]) -> None:
    server.faults.append(Fault("/runs", 503, "busy", "text/plain"))
    with pytest.raises(UnreachableError):
        Kfp(server.url).submit(packages["one"], "name", "e", {"n": 1})
    assert len(server.calls_of("POST", "/runs")) == 1


def test_stop(server: KfpServer, packages: dict[str, Path]) -> None:
    kfp = Kfp(server.url)
    run = kfp.submit(packages["one"], "name", "e", {"n": 1})
    kfp.stop(run.run_id)
    assert kfp.run(run.run_id).state == "FAILED"
    with pytest.raises(ClusterError, match="has ended"):
        kfp.stop(run.run_id)
    with pytest.raises(ClusterError, match="run_id nope not found"):
        kfp.stop("nope")
    assert len(server.calls_of("POST", ":terminate")) == 1


def test_cluster_that_does_not_answer(server: KfpServer, kube: KubeServer) -> None:
    kube.faults.append(Fault("team", 401, "{}"))
    assert "KUBECONFIG" in error_of(server.url, namespace="team").hint
    kube.faults[0].status = 403  # it may be there
    assert Kfp(server.url, "team").namespace == "team"
