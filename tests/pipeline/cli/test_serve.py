"""Where `fashion serve` listens; the server itself: tests/pipeline/serving/test_app.py."""

import socket

import pytest
from click.testing import CliRunner

from components.common.errors import PipelineError
from pipeline.cli.serve import listen, serve


def test_it_listens_before_an_address_is_announced():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), timeout=5), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)  # or an answer waits for 40 ms
        with pytest.raises(PipelineError, match=f"cannot listen on 127.0.0.1, port {port}: ") as raised:
            listen("127.0.0.1", port)
        assert "--port" in raised.value.hint


@pytest.mark.parametrize("host", ["nowhere.invalid", "192.0.2.1"])
def test_an_address_that_is_not_of_this_machine_is_named(host: str):
    with pytest.raises(PipelineError, match=f"cannot listen on {host}, port 8080: .") as raised:
        listen(host, 8080)
    assert "--host" in raised.value.hint


@pytest.mark.parametrize("port", ["99999", "-1"])
def test_a_port_is_a_port(port: str):
    result = CliRunner().invoke(serve, ["--port", port])
    assert (result.exit_code, "0<=x<=65535" in result.output) == (2, True)
