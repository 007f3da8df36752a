"""The connection to KFP's server: whether it answers, whether it is KFP, and what its refusals mean."""

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
LONGEST_MESSAGE = 400


class UnreachableError(ClusterError):
    """The server does not answer now; it may, later."""


@dataclass(frozen=True)
class Server:
    """A server, and the file of its bearer token, read for each call, since such tokens expire soon."""

    host: str
    token_file: Path | None = None

    def token(self) -> str:
        """The bearer token, empty without a token file.

        Raises:
            ClusterError: The file does not hold a token.
        """
        if not self.token_file:
            return ""
        try:
            token = self.token_file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            raise ClusterError(
                f"the token file {self.token_file} cannot be read", "name a file: --token-file FILE"
            ) from None
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ClusterError(
                f"{self.token_file} does not hold a token", "it must hold the token alone, in one line"
            )
        return token

    def probe(self) -> bool:
        """Asks, in seconds, whether this is KFP; returns whether several users share it.

        Raises:
            ClusterError: It is not KFP, does not answer, or refuses the token.
        """
        import requests

        token = self.token()

        def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
            if token:
                request.headers["Authorization"] = f"Bearer {token}"
            return request

        try:
            response = requests.get(
                f"{self.host}/apis/v2beta1/healthz",
                auth=authorize,
                timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                allow_redirects=False,
                verify=ca_bundle() or True,
            )
        except requests.exceptions.SSLError:
            raise ClusterError(
                f"the certificate of {self.host} is not trusted",
                f"name the file of its certificate authority in {CA_VARIABLES[0]}",
            ) from None
        except requests.RequestException as error:
            raise self.unreachable(type(error).__name__) from None
        try:
            content = response.json()
        except ValueError:
            content = None
        if response.ok and isinstance(content, dict) and "multi_user" in content:
            return bool(content["multi_user"])
        if response.status_code in (401, 403) or response.status_code >= 500:
            raise self.refusal(response.status_code, response.text)
        raise self.foreign(response.status_code)

    def unreachable(self, reason: str) -> UnreachableError:
        """The error for a server that does not answer."""
        return UnreachableError(
            f"KFP at {self.host} cannot be reached ({reason})",
            "start it or its port-forward, or mend --host or KFP_HOST",
        )

    def foreign(self, status: int) -> ClusterError:
        """The error for a server that is not KFP."""
        return ClusterError(
            f"{self.host} answers {status}, but not as KFP 2 does",
            "give the address of KFP's UI or API: --host; where it asks for a login, --token-file FILE",
        )

    def refusal(self, status: int, body: str) -> ClusterError:
        """The error for a refused call."""
        message = _message(body)
        if status == 401 or (status == 403 and not message):
            given = f"refuses the token in {self.token_file}" if self.token_file else "wants a token"
            return ClusterError(
                f"KFP at {self.host} {given} ({status})", "give a valid one: --token-file FILE"
            )
        if status == 403:
            return ClusterError(
                f"KFP at {self.host} does not permit it: {message}",
                "name a namespace of your own: --namespace NAME, or give another token: --token-file FILE",
            )
        if status >= 500:
            return self.unreachable(f"it answers {status}{message and ': '}{message}")
        if message:
            return ClusterError(f"KFP at {self.host} refuses: {message}", "mend what it names, and try again")
        return self.foreign(status)


def address(host: str) -> str:
    """The address of KFP: the one given, or KFP_HOST's.

    Raises:
        ClusterError: No address is given, or it is malformed.
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
    """The file of the certificate authorities to trust, if the environment names one.

    Raises:
        ClusterError: The file is missing.
    """
    name = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
    if name and not Path(os.environ[name]).is_file():
        raise ClusterError(f"{name} names {os.environ[name]}, which is no file", "mend or unset it")
    return os.environ[name] if name else None


def _message(body: str) -> str:
    """KFP's message about a fault: its short text for users, if it has one."""
    try:
        content = json.loads(body)
        short = next((detail["message"] for detail in content.get("details") or ()), "")
        text = content["message"] if short in ("", "Internal Server Error") else short
    except (ValueError, AttributeError, KeyError, TypeError):
        return ""
    return " ".join(str(text).split())[:LONGEST_MESSAGE]
