"""What is asked of the MLflow server before work starts: by MLflow's own client, so that it sees the same."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import TrackingError
from pipeline.tracking.server import check_server
from pipeline.tracking.store import check_servers
from tests.support.json_server import Call, Fault, JsonServer, RefusalError, self_signed, serving
from tests.support.ports import free_port

ASKED = "/api/2.0/mlflow/experiments/search"


class Mlflow(JsonServer):
    """Answers what the check asks, as MLflow does."""

    version = "3.17.2"
    login = ""

    def respond(self, call: Call) -> Any:
        if call.path == "/version":
            return self.version
        if self.login and call.headers.get("authorization") != self.login:
            raise RefusalError(401, "You are not authenticated.")
        if call.path != ASKED:
            raise RefusalError(404, "")
        return {"experiments": []}


@pytest.fixture(autouse=True)
def _nothing_of_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("USERNAME", "PASSWORD", "TOKEN", "SERVER_CERT_PATH", "INSECURE_TLS"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.fixture
def server() -> Iterator[Mlflow]:
    with serving(Mlflow()) as made:
        yield made


def test_a_server_in_order_is_asked_twice(server: Mlflow):
    check_server(server.url)

    assert [call.path for call in server.calls] == ["/version", ASKED]


def test_a_server_that_is_too_old_is_refused_by_its_version(server: Mlflow):
    server.version = "2.22.0"

    with pytest.raises(TrackingError, match=r"version 2\.22\.0, which has no logged models"):
        check_server(server.url)


@pytest.mark.parametrize("body", ["<!doctype html>", "[]"])
def test_what_is_not_mlflow_is_refused(server: Mlflow, body: str):
    server.version = "<!doctype html>"
    server.faults.append(Fault(ASKED, 200, body))

    with pytest.raises(TrackingError, match="not as MLflow does"):
        check_server(server.url)


def test_a_server_in_trouble_is_asked_once(server: Mlflow):
    server.faults.append(Fault("/version", 503))

    with pytest.raises(TrackingError, match="answers 503"):
        check_server(server.url)

    assert len(server.calls) == 1


def test_credentials_count_wherever_mlflow_finds_them(
    server: Mlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    server.login = "Basic " + base64.b64encode(b"somebody:secret").decode()
    with pytest.raises(TrackingError, match="answers 401") as refused:
        check_server(server.url)
    assert "MLFLOW_TRACKING_USERNAME" in refused.value.hint

    (tmp_path / ".mlflow").mkdir()
    credentials = tmp_path / ".mlflow" / "credentials"
    credentials.write_text(
        "[mlflow]\nmlflow_tracking_username = somebody\nmlflow_tracking_password = secret\n"
    )
    check_server(server.url)

    credentials.unlink()
    server.login = "Bearer token"
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token")
    check_server(server.url)


def test_a_private_certificate_authority_is_trusted_where_mlflow_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    certificate = self_signed(tmp_path / "own.pem")
    with serving(Mlflow(), certificate) as server:
        with pytest.raises(TrackingError, match=r"certificate of .* is not trusted") as refused:
            check_server(server.url)
        assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in refused.value.hint
        with monkeypatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
            check_server(server.url)
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        check_server(server.url)

        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/nowhere")
        with pytest.raises(TrackingError, match="/nowhere"):
            check_server(server.url)


@pytest.mark.parametrize("name", ["INSECURE_TLS", "SERVER_CERT_PATH", "CLIENT_CERT_PATH"])
def test_a_setting_of_mlflow_that_is_wrong_is_not_taken_for_a_server_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    with serving(Mlflow(), self_signed(tmp_path / "own.pem")) as server:
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "/nowhere")
        with pytest.raises(TrackingError, match=r"MLflow's settings for .* are wrong") as refused:
            check_server(server.url)
    assert "correct the variable" in refused.value.hint


def test_the_registry_has_a_server_of_its_own(
    server: Mlflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", server.url)
    check_servers(tmp_path)
    server.faults.append(Fault("/version", 200, "2.22.0", "text/plain"))
    with pytest.raises(TrackingError, match=r"version 2\.22\.0"):
        check_servers(tmp_path)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TrackingError, match="cannot be reached") as refused:
        check_servers(tmp_path)
    assert "correct MLFLOW_REGISTRY_URI" in refused.value.hint


@pytest.mark.parametrize("uri", ["127.0.0.1:5000", "localhost:5000", "mlruns"])
def test_what_is_no_address_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(TrackingError, match="no address of MLflow"):
        check_servers(tmp_path)
