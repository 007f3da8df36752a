"""Creates `.venv` with every package at its locked version and hash, unless it is up to date: `make setup`.

    python infra/setup.py cpu|gpu

`.venv` records what it was made from. It is made again after the folder was copied or moved, for another
Python, and for another lock. Of the configuration of pip and uv, only settings of the index and the network
are used: others (`PIP_USER`, `target`, `no-binary`, ...) would change what is installed, and where.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]
VENV = ROOT / ".venv"
MADE_FROM = VENV / "made-from.json"
PIP_KEPT = re.compile(
    r"(extra-)?index-url|trusted-host|(client-)?cert|proxy|find-links|no-index|cache-dir|no-cache-dir"
    r"|(default-)?timeout|retries|resume-retries|keyring-provider|use-feature|use-deprecated"
)
"""Options of pip that are used: the index and the network."""
PIP_TO_UV = (
    ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", " "),
    ("PIP_EXTRA_INDEX_URL", "UV_INDEX", " "),
    ("PIP_FIND_LINKS", "UV_FIND_LINKS", ","),
    ("PIP_NO_INDEX", "UV_NO_INDEX", " "),
    ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST", " "),
    ("PIP_CERT", "SSL_CERT_FILE", " "),
)
"""Variable of pip, variable of uv, and uv's separator of several values."""
READ_PIP = """
import json
from pip._internal.configuration import Configuration
configuration = Configuration(isolated=False)
configuration.load()
print(json.dumps(dict(configuration.items())))
"""
UV_KEPT = re.compile(
    r"UV_((DEFAULT_|EXTRA_|NO_)?INDEX.*|FIND_LINKS|INSECURE_HOST|NATIVE_TLS|SYSTEM_CERTS|HTTP_.*|REQUEST_TIMEOUT"
    r"|KEYRING_PROVIDER|CACHE_DIR|NO_CACHE|OFFLINE|LINK_MODE|CONCURRENT_.*)"
)


def main() -> None:
    """Creates `.venv`, unless it is up to date."""
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        fail(f"this is Python {platform.python_version()}", "name 3.11 to 3.13: make PYTHON=/path/to/it")
    if sys.argv[1:] not in (["cpu"], ["gpu"]):
        fail(f"TENSORFLOW is {' '.join(sys.argv[1:]) or 'empty'}", "cpu or gpu: make TENSORFLOW=cpu")
    if ":" in str(ROOT):
        fail(f"the path {ROOT} has a colon in it, which separates folders in PATH", "rename the folder")
    kind = sys.argv[1]
    with (ROOT / "pyproject.toml").open("r+b") as lock:  # a second process in this folder waits
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another set-up of this folder is running: waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        changed = changes(kind)
        if changed:
            print(
                f"setting up .venv with Python {platform.python_version()} and TensorFlow for {kind}"
                + (f" anew; changed: {', '.join(changed)}" if MADE_FROM.exists() else ""),
                flush=True,
            )
            install(kind)
            made = made_from(kind) | {"packages": packages()}
            MADE_FROM.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


def made_from(kind: str) -> dict[str, str]:
    """Everything that the content of `.venv` depends on, and the folder of the project installed in it."""
    files = ("pyproject.toml", "requirements/uv.txt", f"requirements/{kind}.txt", "infra/setup.py")
    return {
        "folder": str(ROOT),
        "python": f"{sys.base_prefix}: {sys.version} {platform.machine()}",
        **{name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in files},
        "project": " ".join(
            path.read_text(encoding="utf-8")
            for path in VENV.glob("lib/python3*/site-packages/fashion_pipeline-*.dist-info/direct_url.json")
        ),
    }


def changes(kind: str) -> list[str]:
    """The names of what changed since `.venv` was made; all names if it was not completed."""
    try:
        before = dict(json.loads(MADE_FROM.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        before = {}
    lost = set(before.pop("packages", [])) - set(packages())  # added packages do not matter
    now = made_from(kind)
    return [name for name in {**now, **before} if now.get(name) != before.get(name)] + sorted(lost)


def packages() -> list[str]:
    """The installed packages, each with its version."""
    return sorted(path.stem for path in VENV.glob("lib/python3*/site-packages/*.dist-info"))


def install(kind: str) -> None:
    """Creates `.venv` from scratch."""
    MADE_FROM.unlink(missing_ok=True)
    environment = clean_environment()
    python = getattr(sys, "_base_executable", sys.executable)  # not that of a venv
    if not run([python, "-m", "venv", "--clear", str(VENV)], environment):
        fail(f"no venv for {python}", "on Debian or Ubuntu: apt install python3-venv")
    pip = [str(VENV / "bin/python"), "-m", "pip"]
    environment |= pip_settings(pip[0])
    quiet = [*pip, "install", "--quiet", "--disable-pip-version-check"]
    locked = ["--require-hashes", "-r", str(ROOT / f"requirements/{kind}.txt")]
    uv = [str(VENV / "bin/uv"), "pip", "install", "--quiet", "--compile-bytecode", "--python", pip[0]]
    if not (
        run([*quiet, "--require-hashes", "-r", str(ROOT / "requirements/uv.txt")], environment)
        # pip reads the same lock, if uv fails (for example, a proxy that only pip is configured for)
        and (run([*uv, *locked], environment) or run([*quiet, *locked], environment))
        and run([*quiet, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], environment)
    ):
        fail("the packages cannot be installed", "the reason is above; run the same command again")


def clean_environment() -> dict[str, str]:
    """The environment without settings that change what Python, pip or uv use or install."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PIP_", "UV_")) or UV_KEPT.fullmatch(name)
    }
    kept.pop("VIRTUAL_ENV", None)
    kept |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    if os.path.expanduser("~") == "~":  # noqa: PTH111 # without a home, caches would be in a folder named ~
        kept |= {"PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1"}
    return kept


def pip_settings(python: str) -> dict[str, str]:
    """The used options of pip's configuration, from files and environment, as variables of pip and uv.

    `pip config list` cannot be used: configured options such as `user` and `quiet` change it, too.
    """
    result = subprocess.run([python, "-I", "-c", READ_PIP], capture_output=True, text=True, check=False)
    if result.returncode:
        fail(
            f"pip's configuration cannot be read: {result.stderr.strip().splitlines()[-1]}",
            "correct the file: `pip config debug`",
        )
    options: dict[str, str] = {}
    for key, value in json.loads(result.stdout).items():  # newer versions of pip add a level for the file
        options |= value if isinstance(value, dict) else {key: value}
    settings = {}
    for section in ("global", "install", ":env:"):  # the later one wins, as in pip
        for key, value in options.items():
            name = key.removeprefix(f"{section}.")
            if name != key and PIP_KEPT.fullmatch(name):
                settings["PIP_" + name.upper().replace("-", "_")] = value
    return uv_settings(settings) | settings


def uv_settings(settings: dict[str, str]) -> dict[str, str]:
    """The same options for uv, unless its own variables are set."""
    found = {
        uv: separator.join(settings[pip].split())
        for pip, uv, separator in PIP_TO_UV
        if pip in settings and uv not in os.environ
    }
    if {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & os.environ.keys():
        found.pop("UV_DEFAULT_INDEX", None)
    return found


def run(command: list[str], environment: dict[str, str]) -> bool:
    """Whether a command succeeds; it prints its own errors."""
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == 0


def fail(message: str, hint: str) -> None:
    """Exits with an error and a hint."""
    sys.exit(f"error: {message}\nwhat to do: {hint}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command starts again")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", "work in a folder that can be written")
