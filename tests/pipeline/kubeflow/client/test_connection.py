"""The connection to KFP: address, token, certificate, and servers that are down or not KFP."""

from pathlib import Path

import pytest

from components.common.errors import ClusterError
from pipeline.kubeflow.client.api import Kfp
from pipeline.kubeflow.client.connection import UnreachableError
from tests.support.json_server import Fault, self_signed, serving
from tests.support.kfp_fixtures import connection_error, start_run
from tests.support.kfp_server import KfpServer
from tests.support.ports import free_port

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


HTML = "<!doctype html><html><body>Please log in</body></html>"


@pytest.mark.usefixtures("server")
def test_no_host_is_no_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "KFP_HOST" in connection_error("").hint
    assert "http://" in connection_error("localhost:8888").hint
    connection_error("ftp://localhost")
    connection_error("http://")
    monkeypatch.setenv("KFP_HOST", "nowhere")
    assert "'nowhere'" in str(connection_error(""))


def test_host_of_the_environment_and_of_a_browser(server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KFP_HOST", f"{server.url}/")
    assert Kfp().host == server.url
    assert Kfp(f"{server.url}/#/runs").url("x") == f"{server.url}/#/runs/details/x"


def test_host_that_is_down() -> None:
    error = connection_error(f"http://me:secret@127.0.0.1:{free_port()}")
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
    error = connection_error(server.url)
    assert words in str(error)
    assert isinstance(error, UnreachableError) is (fault.status == 503)
    assert len(server.calls) == 1  # not asked again, and nothing else asked


def test_login_page_behind_an_open_health_check(server: KfpServer, packages: dict[str, Path]) -> None:
    server.faults.append(Fault("experiments", 200, HTML, "text/html"))
    with pytest.raises(ClusterError, match="not as KFP"):
        start_run(Kfp(server.url), packages["one"], "name", "e", {"n": 1})


def test_token_is_sent_with_each_call_and_read_anew(tmp_path: Path, packages: dict[str, Path]) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    with serving(KfpServer(token="first")) as server:
        kfp = Kfp(server.url, token_file=file)
        start_run(kfp, packages["one"], "name", "e", {"n": 1})
        file.write_text("second")
        server.token = "second"
        start_run(kfp, packages["one"], "name", "e", {"n": 1})
    sent = [call.headers["authorization"] for call in server.calls]
    assert sent == ["Bearer first"] * 4 + ["Bearer second"] * 2


def test_refused_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("wrong-token")
    with serving(KfpServer(token="right")) as server:
        error = connection_error(server.url, token_file=file)
    assert str(file) in str(error)
    assert "wrong-token" not in str(error) + error.hint


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"a\nb", b"\xff\xfe"])
def test_file_that_holds_no_token(server: KfpServer, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    assert str(file) in str(connection_error(server.url, token_file=file))
    assert server.calls == []


def test_certificate_authority_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = self_signed(tmp_path / "own.pem")
    with serving(KfpServer(), file) as server:
        assert "not trusted" in str(connection_error(server.url))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        assert Kfp(server.url).latest_runs("e", 1) == []


def test_server_that_hangs(
    server: KfpServer, monkeypatch: pytest.MonkeyPatch, packages: dict[str, Path]
) -> None:
    monkeypatch.setattr("pipeline.kubeflow.client.connection.ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("pipeline.kubeflow.client.api.ANSWER_SECONDS", 0.2)
    kfp = Kfp(server.url)
    server.faults.append(Fault("", 0))
    assert isinstance(connection_error(server.url), UnreachableError)
    with pytest.raises(UnreachableError):
        start_run(kfp, packages["one"], "name", "e", {"n": 1})
    assert len(server.calls) == 3  # each was tried once


def test_missing_certificate_authority(server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    assert "/no/such/file.pem" in str(connection_error(server.url))
