"""The data set that `data.dvc` describes: fetching it into `data/` and DVC's cache, and adopting another."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from components.common import idx
from components.common.errors import DataError, PipelineError
from components.common.files import data_version, file_digest, replacing
from components.ingest.sources import DebianSource, FolderSource, HttpSource, Source, SourceError
from components.ingest.step import check, ingest, unpack
from pipeline.data.dvc_cache import DvcSource, is_cached
from pipeline.git import is_repository

DATA_FILE = "data.dvc"


class _Meta(BaseModel):
    """The section `meta` of `data.dvc`, which DVC itself ignores."""

    model_config = ConfigDict(extra="allow", strict=True)

    sha256: dict[str, str]
    sources: list[dict[str, str]] = []


class _Output(BaseModel):
    md5: str


class _DataFile(BaseModel):
    outs: list[_Output]
    meta: _Meta


@dataclass(frozen=True)
class Manifest:
    """The content of `data.dvc`: the data version, the SHA-256 of each file, and the sources."""

    version: str
    sha256: dict[str, str]
    sources: list[Source]


def manifest(root: Path) -> Manifest:
    """Reads `data.dvc`.

    Raises:
        DataError: The file is missing or does not describe the data.
    """
    path = root / DATA_FILE
    try:
        content = _DataFile.model_validate(YAML(typ="safe", pure=True).load(path))
    except FileNotFoundError:
        raise DataError(f"{path} is missing", "`git checkout data.dvc`") from None
    except (YAMLError, ValidationError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path} does not describe the data: {reason}", "`git checkout data.dvc`") from None
    kinds: dict[str, Callable[[str], Source]] = {"url": HttpSource, "debian": DebianSource}
    sources: list[Source] = [
        kinds[kind](value)
        for source in content.meta.sources
        for kind, value in source.items()
        if kind in kinds
    ]
    return Manifest(content.outs[0].md5, content.meta.sha256, sources)


def obtain(root: Path, folder: Path | None = None, replace: bool = False) -> str:
    """Fetches the data set that `data.dvc` describes into `data/` and DVC's cache.

    Args:
        root: The project.
        folder: The only source, instead of DVC and the sources in `data.dvc`.
        replace: Fetch wrong files again, instead of raising an error.

    Returns:
        The source, or `present` if nothing was missing.

    Raises:
        DataError: A file is not the expected one, or no source has all missing files.
    """
    described = manifest(root)
    prepare_dvc(root)
    data = root / "data"
    sources = [FolderSource(folder)] if folder else [DvcSource(root, described.version), *described.sources]
    (root / ".dvc" / "tmp").mkdir(exist_ok=True)
    with FileLock(root / ".dvc" / "tmp" / "ingest.lock"):  # two processes would share the staging folder
        source = ingest(data, described.sha256, sources, replace)
    if not is_cached(root, data, described.version) or data_version(data) != described.version:
        run_dvc(root, "commit", "--quiet", "--force", DATA_FILE)
    return source


def adopt(root: Path, folder: Path) -> dict[str, Any]:
    """Replaces the project's data set by the four files in `folder`, gzipped or not.

    Returns:
        The values that `params.yaml` needs, by section; the class names are numbers.

    Raises:
        DataError: A file is missing or not in the IDX format. The old data set stays.
    """
    data = root / "data"
    _, wrong = check(data, manifest(root).sha256)
    if wrong:
        raise DataError(
            f"{data} holds files that data.dvc does not describe: {', '.join(wrong)}",
            "move it away first, so that nothing is lost",
        )
    with tempfile.TemporaryDirectory(dir=root, prefix=".adopt-") as name:
        stage = Path(name) / "data"
        stage.mkdir()
        try:
            FolderSource(folder).fetch(stage, idx.FILE_NAMES)
            unpack(stage)
        except SourceError as error:
            raise DataError(f"{folder}: {error}", "it must hold the four files, gzipped or not") from None
        try:
            settings = _measure(stage)
        except DataError as error:
            text = str(error).replace(str(stage), str(folder))
            raise DataError(text, "correct the files; the old data set is in place") from None
        digests = {name: file_digest(stage / name, "sha256") for name in idx.FILE_NAMES}
        prepare_dvc(root)
        if data.exists():
            data.rename(Path(name) / "old")
        stage.rename(data)
    yaml = YAML()
    content = yaml.load(root / DATA_FILE)
    content["meta"] = {"name": folder.resolve().name, "sha256": digests}
    with replacing(root / DATA_FILE) as partial:
        yaml.dump(content, partial)
    run_dvc(root, "add", "--quiet", "data")
    return settings


def _measure(folder: Path) -> dict[str, Any]:
    (train, train_labels), (test, test_labels) = (idx.read_split(folder, s) for s in idx.SPLITS)
    same = "take all four files from one data set"
    if not len(train) or not len(test):
        raise DataError(f"{folder} has {len(train)} train and {len(test)} test images", same)
    if train.shape[1:] != test.shape[1:]:
        sizes = f"train images of {train.shape[1:]} and test images of {test.shape[1:]}"
        raise DataError(f"{folder} has {sizes}", same)
    classes = int(max(train_labels.max(), test_labels.max())) + 1
    shares = np.concatenate([np.bincount(y, minlength=classes) / len(y) for y in (train_labels, test_labels)])
    nonzero = [float((images > 0).mean()) for images in (train, test)]
    return {
        "data": {
            "height": train.shape[1],
            "width": train.shape[2],
            "train_images": len(train),
            "test_images": len(test),
            "classes": [str(label) for label in range(classes)],
            "pixel_mean": round(float(train.mean() / 255), 4),
            "pixel_std": round(float(train.std() / 255), 4),
        },
        "validate": {
            "class_share": _range(shares.min(), shares.max()),
            "nonzero_share": _range(min(nonzero), max(nonzero)),
        },
        "train": {"validation_images": max(classes, len(train) // 12)},
    }


def _range(low: float, high: float) -> dict[str, float]:
    """The range of two shares, rounded outwards to hundredths."""
    return {"min": floor(100 * low) / 100, "max": ceil(100 * high) / 100}


def prepare_dvc(root: Path) -> None:
    """Sets DVC's `core.no_scm` in a folder without git (an unpacked archive), else removes it.

    Raises:
        PipelineError: There is a repository, but git refuses to use it.
    """
    local = root / ".dvc" / "config.local"
    without = local.exists() and "no_scm" in local.read_text(encoding="utf-8")
    git = is_repository(root)
    if git == without:
        value = ("--unset", "core.no_scm") if git else ("core.no_scm", "true")
        run_dvc(root, "config", "--quiet", "--local", *value)


def run_dvc(root: Path, *arguments: str) -> None:
    """Runs DVC's command line, with this Python's `fashion` first on PATH.

    Raises:
        PipelineError: DVC failed and has printed the reason.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, "-P", str(Path(__file__).with_name("dvc_main.py")), *arguments]
    process = subprocess.Popen(command, cwd=root, env=os.environ | {"PATH": path})
    try:
        failed = process.wait()
    except KeyboardInterrupt:  # Ctrl-C reaches DVC too: wait until it has cleaned up
        process.wait()
        raise
    if failed:
        raise PipelineError(f"`dvc {' '.join(arguments)}` failed", "the reason is printed above")
