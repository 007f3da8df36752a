"""The server at KFP's URL: its address, its token, and errors for what can go wrong with it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from components.common.errors import ClusterError

CONNECT_SECONDS, ANSWER_SECONDS = 4, 30
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
MAX_MESSAGE_LENGTH = 400


class UnreachableError(ClusterError):
    """The server does not answer now; it may later."""


@dataclass(frozen=True)
class Server:
    """A server.

    Args:
        host: Its URL.
        token_file: A file with a bearer token, read again for each call, since such tokens expire soon.
    """

    host: str
    token_file: Path | None = None

    def token(self) -> str:
        """The bearer token; empty without a token file.

        Raises:
            ClusterError: The file cannot be read, or holds no token.
        """
        if not self.token_file:
            return ""
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            raise ClusterError(
                f"the token file {self.token_file} cannot be read", "give another file: --token-file FILE"
            ) from None
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ClusterError(
                f"{self.token_file} does not hold a token", "it must hold only the token, in one line"
            )
        return token

    def untrusted(self) -> ClusterError:
        """The error for a certificate that is not trusted."""
        return ClusterError(
            f"the certificate of {self.host} is not trusted",
            f"set {CA_VARIABLES[0]} to the file of its certificate authority",
        )

    def unreachable(self, reason: str) -> UnreachableError:
        """The error for a server that does not answer."""
        return UnreachableError(
            f"KFP at {self.host} cannot be reached ({reason})",
            "start it or its port-forward, or correct --host or KFP_HOST",
        )

    def not_kfp(self, status: int) -> ClusterError:
        """The error for a server that answers, but is not KFP."""
        return ClusterError(
            f"{self.host} answers {status}, but not as KFP 2 does",
            "give the address of KFP's UI or API: --host; if it asks for a login, --token-file FILE",
        )

    def error_of(self, status: int, body: str) -> ClusterError:
        """The error for a response with an HTTP error status."""
        message = _error_message(body)
        if status == 401 or (status == 403 and not message):
            problem = f"refuses the token in {self.token_file}" if self.token_file else "wants a token"
            return ClusterError(
                f"KFP at {self.host} {problem} ({status})", "give a valid token: --token-file FILE"
            )
        if status == 403:
            return ClusterError(
                f"KFP at {self.host} does not permit it: {message}",
                "give a namespace of your own: --namespace NAME, or another token: --token-file FILE",
            )
        if status >= 500:
            return self.unreachable(f"it answers {status}{message and ': '}{message}")
        if message:
            return ClusterError(
                f"KFP at {self.host} refuses: {message}", "correct what it names, and try again"
            )
        return self.not_kfp(status)


def server_url(host: str) -> str:
    """The URL of KFP: `host`, or if that is empty KFP_HOST.

    Raises:
        ClusterError: Neither is given, or it is not an HTTP URL.
    """
    host = (host or os.environ.get("KFP_HOST", "")).partition("#")[0].rstrip("/")
    if not host:
        raise ClusterError("there is no address of KFP", "give it: --host http://HOST:PORT, or set KFP_HOST")
    try:
        parts = urlsplit(host)
    except ValueError:  # brackets that hold no IPv6 address
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ClusterError(
            f"{host!r} is no address of a server", "write it with its scheme, http://HOST:PORT"
        )
    return host


def ca_bundle() -> str | None:
    """The file of certificate authorities that the environment names, if any.

    Raises:
        ClusterError: The file does not exist.
    """
    name = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
    if name and not Path(os.environ[name]).is_file():
        raise ClusterError(f"{name} is {os.environ[name]}, which is no file", "correct or unset it")
    return os.environ[name] if name else None


def _error_message(body: str) -> str:
    """The message in KFP's error response, if possible the one meant for users; empty if there is none."""
    try:
        content = json.loads(body)
        user_message = next((detail["message"] for detail in content.get("details") or ()), "")
        text = content["message"] if user_message in ("", "Internal Server Error") else user_message
    except (ValueError, AttributeError, KeyError, TypeError):
        return ""
    return " ".join(str(text).split())[:MAX_MESSAGE_LENGTH]
