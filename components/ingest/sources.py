"""The sources of the data files: a folder, a web folder, a Debian package."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tqdm import tqdm

if TYPE_CHECKING:
    import requests

TIMEOUT_SECONDS = (5, 30)
"""To connect, and between two parts of a response."""


class SourceError(Exception):
    """A source cannot provide the data; the message says why."""


class Source(Protocol):
    """A place that may have the data files."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    def fetch(self, folder: Path, wanted: Sequence[str]) -> None:
        """Puts the wanted files into `folder`; content and name may be those of a gzip file (`.gz`).

        Raises:
            SourceError: The source cannot be reached, or lacks a file.
        """


@dataclass(frozen=True)
class FolderSource:
    """A folder that has the files."""

    folder: Path

    @property
    def name(self) -> str:
        """Its path."""
        return f"the folder {self.folder}"

    def fetch(self, folder: Path, wanted: Sequence[str]) -> None:
        """Copies the wanted files."""
        for name in wanted:
            candidates = [self.folder / name, self.folder / f"{name}.gz"]
            found = next((path for path in candidates if path.is_file()), None)
            if found is None:
                raise SourceError(f"it has neither {name} nor {name}.gz")
            shutil.copyfile(found, folder / found.name)  # without its mode, which may be read-only


@dataclass(frozen=True)
class HttpSource:
    """A web folder that has the files."""

    url: str

    @property
    def name(self) -> str:
        """Its URL."""
        return self.url

    def fetch(self, folder: Path, wanted: Sequence[str]) -> None:
        """Downloads the wanted files with a progress bar."""
        import requests
        import urllib3

        for name in wanted:
            try:
                with self._open(f"{name}.gz", name) as response:
                    response.raise_for_status()
                    size = int(response.headers.get("Content-Length", 0)) or None
                    with (
                        (folder / name).open("wb") as file,
                        tqdm(total=size, desc=name, unit="B", unit_scale=True) as bar,
                    ):
                        for chunk in response.raw.stream(1 << 16, decode_content=False):
                            bar.update(file.write(chunk))
            except requests.ConnectionError:
                raise SourceError("it cannot be reached") from None
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                raise SourceError(str(error)) from None

    def _open(self, *names: str) -> "requests.Response":
        """The response for the first name that exists, or for the last one."""
        import requests

        for name in names:
            response = requests.get(
                f"{self.url.rstrip('/')}/{name}",
                headers={"Accept-Encoding": "identity"},  # the files are compressed already
                stream=True,
                timeout=TIMEOUT_SECONDS,
            )
            if response.ok or name == names[-1]:
                break
            response.close()
        return response


@dataclass(frozen=True)
class DebianSource:
    """A Debian or Ubuntu package with the gzipped files. It is not installed, so root is not needed."""

    package: str

    @property
    def name(self) -> str:
        """The package's name."""
        return f"the Debian package {self.package}"

    def fetch(self, folder: Path, wanted: Sequence[str]) -> None:
        """Downloads the package and copies the wanted files out of it."""
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise SourceError("this is not a Debian or Ubuntu machine")
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            tqdm.write(f"downloading {self.name} ...")
            try:
                _apt(work, "download", self.package)
            except SourceError:  # the package lists are missing or old: download new ones into `work`
                for part in ("lists/partial", "cache/archives/partial"):
                    (work / part).mkdir(parents=True)
                private = ("-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}/cache")
                _apt(work, *private, "update")
                _apt(work, *private, "download", self.package)
            _run(work, "dpkg-deb", "-x", str(next(work.glob("*.deb"))), "unpacked")
            for wanted_name in wanted:
                found = next((work / "unpacked").rglob(f"{wanted_name}.gz"), None)
                if found is None:
                    raise SourceError(f"it has no {wanted_name}.gz")
                shutil.copyfile(found, folder / found.name)


def _apt(work: Path, *arguments: str) -> None:
    _run(work, "apt-get", "-q", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=", *arguments)


def _run(work: Path, *command: str) -> None:
    result = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip() or "no reason given").splitlines()
        raise SourceError(f"`{command[0]}` failed: {lines[-1]}")
