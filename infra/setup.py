"""Makes `.venv`, with every package at its locked version and hash, unless it is there: `make setup`.

    python infra/setup.py cpu|gpu

What it was made from is kept in it, so that it is made anew when the folder was copied or moved, for another
Python, or for another lock. Only what the index and the network need is taken over from the configuration of
pip and uv: the rest (`PIP_USER`, `target`, `no-binary`, ...) would decide what is installed, and where.
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
"""Options of pip that stay: where packages come from, and how to get there."""
PIP_TO_UV = (
    ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", " "),
    ("PIP_EXTRA_INDEX_URL", "UV_INDEX", " "),
    ("PIP_FIND_LINKS", "UV_FIND_LINKS", ","),
    ("PIP_NO_INDEX", "UV_NO_INDEX", " "),
    ("PIP_TRUSTED_HOST", "UV_INSECURE_HOST", " "),
    ("PIP_CERT", "SSL_CERT_FILE", " "),
)
"""Variable of pip, that of uv, and what uv puts between several values."""
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
    """Sets up, or finds everything in place."""
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        fail(f"this is Python {platform.python_version()}", "name 3.11 to 3.13: make PYTHON=/path/to/it")
    if sys.argv[1:] not in (["cpu"], ["gpu"]):
        fail(f"TENSORFLOW is {' '.join(sys.argv[1:]) or 'empty'}", "cpu or gpu: make TENSORFLOW=cpu")
    if ":" in str(ROOT):
        fail(f"the path {ROOT} has a colon in it, which separates folders in PATH", "rename the folder")
    kind = sys.argv[1]
    with (ROOT / "pyproject.toml").open("r+b") as lock:  # two at once in one folder: the second waits
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another set-up of this folder is at work: waiting for it", flush=True)
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
    """All that the content of `.venv` depends on, and the folder that its `fashion` runs."""
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
    """What differs from what `.venv` was made from; all, if it was not finished."""
    try:
        before = dict(json.loads(MADE_FROM.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        before = {}
    lost = set(before.pop("packages", [])) - set(packages())  # those that a user has added are welcome
    now = made_from(kind)
    return [name for name in {**now, **before} if now.get(name) != before.get(name)] + sorted(lost)


def packages() -> list[str]:
    """The installed packages, each with its version."""
    return sorted(path.stem for path in VENV.glob("lib/python3*/site-packages/*.dist-info"))


def install(kind: str) -> None:
    """Makes `.venv` from nothing."""
    MADE_FROM.unlink(missing_ok=True)
    environment = clean_environment()
    # Within a venv, this is the Python that it was made with.
    python = getattr(sys, "_base_executable", sys.executable)
    if not run([python, "-m", "venv", "--clear", str(VENV)], environment):
        fail(f"no venv for {python}", "on Debian or Ubuntu: apt install python3-venv")
    pip = [str(VENV / "bin/python"), "-m", "pip"]
    environment |= pip_settings(pip[0])
    quiet = [*pip, "install", "--quiet", "--disable-pip-version-check"]
    locked = ["--require-hashes", "-r", str(ROOT / f"requirements/{kind}.txt")]
    uv = [str(VENV / "bin/uv"), "pip", "install", "--quiet", "--compile-bytecode", "--python", pip[0]]
    if not (
        run([*quiet, "--require-hashes", "-r", str(ROOT / "requirements/uv.txt")], environment)
        # pip reads the same lock, where uv does not get through (a proxy that only pip is set up for)
        and (run([*uv, *locked], environment) or run([*quiet, *locked], environment))
        and run([*quiet, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], environment)
    ):
        fail("the packages cannot be installed", "the reason is above; the same command tries again")


def clean_environment() -> dict[str, str]:
    """The environment without what leads Python, pip or uv elsewhere."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PIP_", "UV_")) or UV_KEPT.fullmatch(name)
    }
    kept.pop("VIRTUAL_ENV", None)
    kept |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}
    if os.path.expanduser("~") == "~":  # noqa: PTH111 # no home, no caches: else they land in a folder named ~
        kept |= {"PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1"}
    return kept


def pip_settings(python: str) -> dict[str, str]:
    """What is kept of pip's configuration, from its files and from the environment, as variables.

    `pip config list` does not do: `user` and `quiet`, among what is configured, are options of its own, too.
    """
    result = subprocess.run([python, "-I", "-c", READ_PIP], capture_output=True, text=True, check=False)
    if result.returncode:
        fail(
            f"pip's configuration cannot be read: {result.stderr.strip().splitlines()[-1]}",
            "mend the file: `pip config debug`",
        )
    options: dict[str, str] = {}
    for key, value in json.loads(result.stdout).items():  # the newest pip has a level more, for the file
        options |= value if isinstance(value, dict) else {key: value}
    settings = {}
    for section in ("global", "install", ":env:"):  # the later one wins, as in pip
        for key, value in options.items():
            name = key.removeprefix(f"{section}.")
            if name != key and PIP_KEPT.fullmatch(name):
                settings["PIP_" + name.upper().replace("-", "_")] = value
    return uv_settings(settings) | settings


def uv_settings(settings: dict[str, str]) -> dict[str, str]:
    """The same for uv, which does not look at pip's settings; its own variables come first."""
    found = {
        uv: separator.join(settings[pip].split())
        for pip, uv, separator in PIP_TO_UV
        if pip in settings and uv not in os.environ
    }
    if {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & os.environ.keys():
        found.pop("UV_DEFAULT_INDEX", None)
    return found


def run(command: list[str], environment: dict[str, str]) -> bool:
    """Whether a command succeeds; it says itself what went wrong."""
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == 0


def fail(message: str, hint: str) -> None:
    """Ends with what was wrong and what to do."""
    sys.exit(f"error: {message}\nwhat to do: {hint}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command starts anew")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", "work in a folder that can be written")
