"""Real servers of S3: moto's, which checks signatures on request, and a proxy before it that fails on order.

A test module says `pytest_plugins = ("tests.support.s3_server",)` to have the fixtures.
"""

import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.common.s3 import s3_client
from tests.support.ports import free_port, wait_for_http

Keys = dict[str, str]
"""Credentials, as the environment variables of boto."""
NO_KEYS = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"))


@contextmanager
def set_environment(variables: Mapping[str, str | None]) -> Iterator[None]:
    """Sets variables for the block; None removes one."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        yield


@dataclass
class S3Server:
    """A running S3 server, which takes any credentials unless it is told to look at them."""

    url: str
    environment: dict[str, str]

    def look_at_credentials(self, look: bool) -> None:
        """Whether keys, signatures and permissions are checked from now on."""
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth",
            data=b"0" if look else b"inf",
            headers={"Content-Type": "text/plain"},
        )
        urllib.request.urlopen(request).close()


@contextmanager
def serving_s3(log: Path) -> Iterator[S3Server]:
    """A server of its own process, empty; each account sees its own buckets alone."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "open-sesame",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "no-file",
        "AWS_SHARED_CREDENTIALS_FILE": "no-file",
    }
    with log.open("wb") as file:
        process = subprocess.Popen(
            command,
            env=os.environ | {"MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS": "false"},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_for_http(f"http://127.0.0.1:{port}/moto-api/", process)
        yield S3Server(f"http://127.0.0.1:{port}", environment)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """The server of this worker."""
    with serving_s3(tmp_path_factory.mktemp("s3") / "server.log") as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server) -> Iterator[S3Server]:
    """The server, with the environment set to it."""
    with set_environment(NO_KEYS | s3_server.environment):
        yield s3_server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """The name of an empty bucket there."""
    name = f"fashion-{uuid.uuid4().hex[:8]}"
    s3_client().create_bucket(Bucket=name)
    return name


@pytest.fixture
def user(s3: S3Server) -> Iterator[Keys]:
    """The keys of a user who may do anything in S3, on a server that looks at them."""
    import boto3

    iam, name = boto3.Session().client("iam"), f"user-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)
    s3.look_at_credentials(True)
    yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    s3.look_at_credentials(False)


@pytest.fixture
def stranger(s3: S3Server) -> Keys:
    """The keys of another account, whose buckets are not ours."""
    import boto3

    role = "arn:aws:iam::222222222222:role/other"
    sts = boto3.Session().client("sts")
    found = sts.assume_role(RoleArn=role, RoleSessionName="other")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": found["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": found["SecretAccessKey"],
        "AWS_SESSION_TOKEN": found["SessionToken"],
    }


@dataclass
class Proxy:
    """Stands before a server and fails on order.

    Args:
        target: The server's port.
        flipped: In so many of the next downloads a bit is turned.
        broken: So many of the next downloads break off in the middle of the body.
        dying: The first that breaks off takes the server with it.
        seconds_dead: After which it is back; never when it is None.
        refused: Status and error code in answer to requests with this query, or with this in their body.
        seconds: It waits so long before it passes a request on.
        seen: Method and path of each request.
    """

    target: int
    flipped: int = 0
    broken: int = 0
    dying: bool = False
    seconds_dead: float | None = None
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    seconds: float = 0
    seen: list[tuple[str, str]] = field(default_factory=list)
    port: int = field(default_factory=free_port)

    def rise(self) -> None:
        """Listens."""
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def die(self) -> None:
        """Refuses connections from now on."""
        self.server.shutdown()
        self.server.server_close()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # boto waits for "100 Continue"

        def log_message(self, *_: Any) -> None:
            pass

        def _serve(self) -> None:
            proxy.seen.append((self.command, self.path))
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            query = self.path.partition("?")[2]
            for word, (status, code) in proxy.refused.items():
                if word == query or word.encode() in content:
                    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
                    self._answer(status, {"Content-Length": str(len(body))}, body)
                    return
            time.sleep(proxy.seconds)
            upstream = http.client.HTTPConnection("127.0.0.1", proxy.target)
            upstream.request(self.command, self.path, content, dict(self.headers.items()))
            answer = upstream.getresponse()
            body = answer.read()
            upstream.close()
            breaks = self.command == "GET" and proxy.broken > 0
            if breaks:
                proxy.broken -= 1
                body = body[: len(body) // 2]
            elif self.command == "GET" and proxy.flipped:
                proxy.flipped -= 1
                body = body[:-1] + bytes([body[-1] ^ 1])
            self._answer(answer.status, dict(answer.getheaders()), body)
            if breaks and proxy.dying:
                proxy.dying = False
                proxy.die()
                if proxy.seconds_dead is not None:
                    threading.Timer(proxy.seconds_dead, proxy.rise).start()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in (headers | {"Connection": "close"}).items():
                if name.lower() != "connection" or name == "Connection":
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_PATCH = _serve  # noqa: N815

    return Handler


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[Proxy]:
    """A proxy before the server, to which the environment is set."""
    made = Proxy(int(s3.url.rpartition(":")[2]))
    made.rise()
    with set_environment({"AWS_ENDPOINT_URL": made.url}):
        yield made
    made.die()
