"""DVC's cache and default remote as a source of the data; every object is verified by its MD5."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.errors import PipelineError, StorageError, first_line
from components.common.files import file_digest
from components.ingest.sources import SourceError


@dataclass(frozen=True)
class DvcSource:
    """DVC's cache, and its default remote if one is configured, for one version of the data.

    `DVCFileSystem` cannot be used: it prefers the files in `data/`, which may be wrong.
    """

    root: Path
    version: str

    @property
    def name(self) -> str:
        """The cache, and the remote if there is one."""
        remote = open_dvc(self.root).config["core"].get("remote")
        return "DVC's cache and remote" if remote else "DVC's cache"

    def fetch(self, folder: Path, wanted: Sequence[str]) -> None:
        """Copies the wanted files from the cache, or downloads them from the remote, and verifies them."""
        repo = open_dvc(self.root)
        remote = repo.config["core"].get("remote")
        stores = {"the cache": lambda: repo.cache.local}
        if remote is not None:
            stores[f"remote {remote}"] = repo.cloud.get_remote_odb
        listing = folder / "listing"
        _get(stores, self.version, listing, "the list of files")
        digests = {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_bytes())}
        listing.unlink()
        for name in wanted:
            if name not in digests:
                raise SourceError(f"{name} is not in version {self.version}")
            _get(stores, digests[name], folder / name, name)


def _get(stores: Mapping[str, Callable[[], Any]], digest: str, target: Path, name: str) -> None:
    """Copies an object from the first store that has it undamaged."""
    from fsspec.callbacks import TqdmCallback

    failures = []
    for place, store in stores.items():
        callback = TqdmCallback(tqdm_kwargs={"desc": name, "unit": "B", "unit_scale": True})
        try:
            objects = store()
            objects.fs.get_file(objects.oid_to_path(digest), str(target), callback=callback)
        except FileNotFoundError:
            failures.append(f"{place} does not have it")
        except Exception as error:  # each kind of remote has a library with its own errors
            failures.append(f"{place}: {first_line(error.__cause__ or error)}")
        else:
            if file_digest(target, "md5") == digest.removesuffix(".dir"):
                return
            failures.append(f"{place} has a damaged copy")
    if len(stores) == 1:
        failures.append("no remote is configured")
    raise SourceError(f"{name}: {', '.join(failures)}")


def open_dvc(root: Path) -> Any:
    """DVC's `Repo` of the project.

    Raises:
        PipelineError: DVC's configuration is wrong.
    """
    import sqlite3

    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        return Repo(str(root))
    except sqlite3.OperationalError as error:  # DVC's index
        raise StorageError(
            f"DVC cannot open its index in {root}/.dvc: {error}", "free some space, and check who owns .dvc"
        ) from None
    except DvcException as error:
        raise PipelineError(
            f"DVC cannot open {root}: {' '.join(str(error).split())}",
            "correct .dvc/config or .dvc/config.local",
        ) from None


def is_cached(root: Path, data: Path, version: str) -> bool:
    """Whether DVC's cache has the files of `data` and their listing. Removes damaged objects from the cache.

    Raises:
        PipelineError: DVC's configuration is wrong.
    """
    cache = open_dvc(root).cache.local
    complete = True
    for digest in (version, *(file_digest(path, "md5") for path in data.iterdir() if path.is_file())):
        path = Path(cache.oid_to_path(digest))
        if not path.exists():
            complete = False
        elif file_digest(path, "md5") != digest.removesuffix(".dir"):
            path.unlink()  # DVC itself does not check the content of an existing object
            complete = False
    return complete
