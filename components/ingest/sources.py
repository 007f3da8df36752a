"""Where the data files can come from."""

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
"""To connect, and between two pieces of an answer."""


class SourceError(Exception):
    """A source cannot serve the data; the text says why."""


class Source(Protocol):
    """A place that may have the data files."""

    @property
    def name(self) -> str:
        """What to call it in a message."""

    def fetch(self, folder: Path, wanted: Sequence[str]) -> None:
        """Puts the wanted files into `folder`, gzipped or not, with `.gz` behind the name or not.

        Raises:
            SourceError: The source is out of reach, or lacks a file.
        """


@dataclass(frozen=True)
class FolderSource:
    """A folder that already has the files."""

    folder: Path

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"the folder {self.folder}"

    def fetch(self, folder: Path, wanted: Sequence[str]) -> None:
        """Copies the wanted files."""
        for name in wanted:
            candidates = [self.folder / name, self.folder / f"{name}.gz"]
            found = next((path for path in candidates if path.is_file()), None)
            if found is None:
                raise SourceError(f"it has neither {name} nor {name}.gz")
            shutil.copyfile(found, folder / found.name)  # not its mode: read-only would stay


@dataclass(frozen=True)
class HttpSource:
    """A web folder of the files, gzipped or not."""

    url: str

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return self.url

    def fetch(self, folder: Path, wanted: Sequence[str]) -> None:
        """Downloads the wanted files, with a bar."""
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
        """The answer for the first name that is there, or for the last."""
        import requests

        for name in names:
            response = requests.get(
                f"{self.url.rstrip('/')}/{name}",
                headers={"Accept-Encoding": "identity"},  # what is packed already needs no packing
                stream=True,
                timeout=TIMEOUT_SECONDS,
            )
            if response.ok or name == names[-1]:
                break
            response.close()
        return response


@dataclass(frozen=True)
class DebianSource:
    """A Debian (or Ubuntu) package that carries the gzipped files; needs no root and installs nothing."""

    package: str

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"the Debian package {self.package}"

    def fetch(self, folder: Path, wanted: Sequence[str]) -> None:
        """Downloads the package by its name and takes the wanted files out of it."""
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise SourceError("this is not a Debian or Ubuntu machine")
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            tqdm.write(f"downloading {self.name} ...")
            try:
                _apt(work, "download", self.package)
            except SourceError:  # no package lists, or old ones: use fresh ones of our own
                private = _private_lists(work)
                _apt(work, *private, "update")
                _apt(work, *private, "download", self.package)
            _run(work, "dpkg-deb", "-x", str(next(work.glob("*.deb"))), "unpacked")
            for wanted_name in wanted:
                found = next((work / "unpacked").rglob(f"{wanted_name}.gz"), None)
                if found is None:
                    raise SourceError(f"it has no {wanted_name}.gz")
                shutil.copyfile(found, folder / found.name)


def _private_lists(work: Path) -> list[str]:
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    return ["-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}/cache"]


def _apt(work: Path, *arguments: str) -> None:
    _run(work, "apt-get", "-q", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=", *arguments)


def _run(work: Path, *command: str) -> None:
    result = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = (result.stderr.strip() or result.stdout.strip() or "it failed").splitlines()
        raise SourceError(f"`{command[0]}` says: {lines[-1]}")
