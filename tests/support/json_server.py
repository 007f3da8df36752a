"""A server in a thread that answers with JSON, keeps what it was asked, and fails on order."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def self_signed(path: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    day, now = timedelta(days=1), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    builder = builder.add_extension(address, critical=False)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    path.write_bytes(certificate + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@dataclass(frozen=True)
class Call:
    """A request that a server got; header names in small letters."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Fault:
    """What a server answers instead, to so many requests whose path ends in a text, after so many others.

    With status 0 it does not answer at all, until the server ends.
    """

    path: str
    status: int
    body: str = ""
    content_type: str = "application/json"
    times: int = 1_000_000
    after: int = 0
    headers: dict[str, str] = field(default_factory=dict)


class RefusalError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(body)
        self.status, self.body = status, body


class JsonServer:
    """A server; `respond` says what."""

    def __init__(self) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.ended = threading.Event()

    def respond(self, call: Call) -> Any:
        """The answer to a request: text as it is, anything else as JSON."""
        raise NotImplementedError

    def calls_of(self, method: str, path: str) -> list[Call]:
        """The requests of a kind so far."""
        return [call for call in self.calls if call.method == method and call.path.endswith(path)]

    def answer(self, call: Call) -> tuple[int, str, str, dict[str, str]]:
        """Status, body, type and further headers of the answer to a request."""
        self.calls.append(call)
        for fault in self.faults:
            if fault.times and call.path.endswith(fault.path):
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if not fault.status:
                    self.ended.wait()
                return fault.status, fault.body, fault.content_type, fault.headers
        try:
            body, status = self.respond(call), 200
        except RefusalError as error:
            body, status = error.body, error.status
        if isinstance(body, str):
            return status, body, "text/plain", {}
        return status, json.dumps(body), "application/json", {}


S = TypeVar("S", bound=JsonServer)


@contextmanager
def serving(server: S, certificate: Path | None = None) -> Iterator[S]:
    """Runs a server for the block; with a certificate and its key in a file, by TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body in one packet

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            call = Call(
                self.command,
                parts.path,
                {name: values[0] for name, values in parse_qs(parts.query).items()},
                {name.lower(): value for name, value in self.headers.items()},
                json.loads(content) if content else None,
            )
            status, body, content_type, headers = server.answer(call)
            self.send_response(status)
            for name, value in {"Content-Type": content_type, **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_DELETE = do_PATCH = do_GET  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            listener.socket = context.wrap_socket(listener.socket, server_side=True)
        server.url = f"http{'s' if certificate else ''}://127.0.0.1:{listener.server_port}"
        threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.ended.set()
            listener.shutdown()
