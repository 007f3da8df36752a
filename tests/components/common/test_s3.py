"""Objects on a real S3 server: lists, broken downloads, and errors in one line."""

import os
import socket
import time

import pytest

from components.common import s3 as s3_module
from components.common.errors import StorageError
from components.common.s3 import s3_client
from components.common.storage import open_storage
from tests.support.ports import free_port
from tests.support.s3_server import NO_KEYS, Keys, Proxy, S3Server, set_environment

pytest_plugins = ("tests.support.s3_server",)

CONTENT = os.urandom(200_000)


def fault_of(location: str) -> StorageError:
    with pytest.raises(StorageError) as raised:
        open_storage(location).read("one")
    assert os.environ.get("AWS_SECRET_ACCESS_KEY", "none") not in str(raised.value) + raised.value.hint
    return raised.value


def test_more_names_than_a_page_holds_are_all_listed(bucket: str, monkeypatch: pytest.MonkeyPatch):
    store = open_storage(f"s3://{bucket}")
    for number in range(5):
        store.write(f"{number}", b"")
    client = s3_client()
    client.meta.events.register(
        "before-parameter-build.s3.ListObjectsV2", lambda params, **_: params.update(MaxKeys=2)
    )
    monkeypatch.setattr("components.common.storage.s3_client", lambda: client)

    assert open_storage(f"s3://{bucket}").names() == ["0", "1", "2", "3", "4"]


def test_a_bucket_that_does_not_exist(s3: S3Server):
    fault = fault_of("s3://fashion-nowhere/a")

    assert str(fault) == "cannot read s3://fashion-nowhere/a/one: there is no such bucket"
    assert "fashion bucket create" in fault.hint


def test_a_bucket_of_somebody_else(bucket: str, stranger: Keys):
    with set_environment(stranger):
        fault = fault_of(f"s3://{bucket}")

    assert str(fault) == f"cannot read s3://{bucket}/one: access is denied (AccessDenied)"


def test_credentials_that_are_wrong_or_missing(bucket: str, user: Keys):
    place = f"s3://{bucket}"
    cannot, server = f"cannot read {place}/one: ", os.environ["AWS_ENDPOINT_URL"]

    fault = fault_of(place)
    assert str(fault) == f"{cannot}{server} refuses the credentials (InvalidAccessKeyId)"
    assert "fashion-storage" in fault.hint
    with set_environment(user | {"AWS_SECRET_ACCESS_KEY": "no-secret"}):
        assert str(fault_of(place)) == f"{cannot}{server} refuses the credentials (SignatureDoesNotMatch)"
    with set_environment(NO_KEYS):
        assert str(fault_of(place)) == f"{cannot}there are no credentials"
    with set_environment(user):  # the server does look: it takes the right ones
        open_storage(place).write("one", b"1")
        assert open_storage(place).read("one") == b"1"


@pytest.mark.parametrize("endpoint", ["nowhere", "ftp://", "http://[::1"])
def test_an_endpoint_that_is_no_address(s3: S3Server, endpoint: str):
    with set_environment({"AWS_ENDPOINT_URL": endpoint}):
        assert "AWS_ENDPOINT_URL" in fault_of("s3://fashion").hint


def test_an_endpoint_where_nobody_listens_is_given_up_in_seconds(s3: S3Server):
    started = time.monotonic()
    with set_environment({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}):
        fault = fault_of("s3://fashion")

    assert "cannot be reached" in str(fault)
    assert "AWS_ENDPOINT_URL" in fault.hint
    assert time.monotonic() - started < 40  # of which boto waits 15 at most


def test_an_endpoint_that_says_nothing_is_given_up(s3: S3Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(s3_module, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(s3_module, "ATTEMPTS", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with set_environment({"AWS_ENDPOINT_URL": endpoint}):
            fault = fault_of("s3://fashion")

    assert str(fault) == (
        f"cannot read s3://fashion/one: {endpoint} cannot be reached, or broke off (ReadTimeoutError)"
    )
    assert time.monotonic() - started < 30


def test_no_call_lets_a_fault_of_boto_through(s3: S3Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(s3_module, "ATTEMPTS", 1)
    with set_environment({"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}):
        store = open_storage("s3://fashion")
        for call in (
            lambda: store.read("one"),
            lambda: store.write("one", b"1"),
            lambda: store.remove("one"),
            store.names,
        ):
            with pytest.raises(StorageError):
                call()


def test_a_server_needs_no_host_name_for_each_bucket(bucket: str, proxy: Proxy):
    with set_environment({"AWS_ENDPOINT_URL": f"http://localhost:{proxy.port}"}):
        open_storage(f"s3://{bucket}/a").write("one", b"1")

    assert proxy.seen == [("PUT", f"/{bucket}/a/one")]


def test_a_download_that_breaks_off_is_repeated(bucket: str, proxy: Proxy):
    store = open_storage(f"s3://{bucket}")
    store.write("one", CONTENT)
    proxy.broken = 2

    assert store.read("one") == CONTENT
    assert [method for method, _ in proxy.seen] == ["PUT", "GET", "GET", "GET"]


def test_a_download_that_always_breaks_off_is_given_up(
    bucket: str, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(s3_module, "ATTEMPTS", 2)
    open_storage(f"s3://{bucket}").write("one", CONTENT)
    proxy.broken = 2

    assert "broke off" in str(fault_of(f"s3://{bucket}"))
    assert proxy.broken == 0
