"""Predicts the pictures of a storage in shards: a plan, then a Parquet file for each shard.

Each runs in a process of its own. A shard whose file exists, of the same model and the same
pictures, is not predicted again: so a batch goes on where it ended, and one that was done is done at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.errors import DataError, PipelineError, counted
from components.common.files import content_key, source_digest
from components.predict.picture import MAX_BYTES, TOO_LARGE
from components.predict.shards import Shard, entries_key, list_pictures, pack, read_listing, unpack
from components.predict.step import Source, predict_pictures
from components.predict.table import read_columns, read_metadata, write_table
from components.registry.registry import weights_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from components.common.s3 import Entry
    from components.common.storage import Storage
    from components.registry.model import LoadedModel

SUCCESS = "_SUCCESS.json"
"""The summary, there only while its parts are, and no others. Readers of Parquet skip names with `_`."""
KEY = "key"
"""In the metadata of a shard's file: a digest of the model, of this code, and of its pictures."""
GONE = "it was there when the batch began, and is not any more"
MOMENTARY = (GONE, TOO_LARGE)
"""Errors that another try may not have: a file with one is not used again."""
THREADS = 8
"""Pictures that are read at the same time: most of the time of each is waiting."""


@dataclass(frozen=True)
class Plan:
    """What the shards of a batch have in common.

    Args:
        model: Name of the registered model.
        version: The version that predicts, whoever is champion meanwhile.
        weights: Its digest.
        images: Where the pictures are; their names are relative to it.
        listing: The object with the list of the pictures.
        pictures: How many there are.
    """

    model: str
    version: int
    weights: str
    images: str
    listing: str
    pictures: int


def plan_batch(version: ModelVersion, pictures: Storage, target: Storage) -> Plan:
    """Lists the pictures, and stores the list.

    Args:
        version: The version that is to predict.
        pictures: Where the pictures are.
        target: Where the predictions go.

    Raises:
        DataError: There is no picture.
        StorageError: The storage cannot be read, or not be written.
    """
    listing = list_pictures(pictures)
    content = pack(listing)
    name = f"_pictures-{sha256(content).hexdigest()[:16]}.parquet"
    target.write(name, content)
    return Plan(
        version.name, int(version.version), weights_of(version), pictures.place(""), name, len(listing)
    )


@dataclass(frozen=True)
class Part:
    """The file of a shard.

    Args:
        name: Its name.
        pictures: Its number of pictures.
        unreadable: How many of them cannot be read.
        seconds: What reading and predicting them took; None if the file was there already.
    """

    name: str
    pictures: int
    unreadable: int
    seconds: float | None = None

    @property
    def line(self) -> str:
        """The result in a line."""
        how = "was there already" if self.seconds is None else f"{self.seconds:.0f} s without the start"
        return f"{counted(self.pictures, 'picture')}, {self.unreadable:,} unreadable, {how}: {self.name}"


def predict_shard(
    plan: Plan, shard: Shard, pictures: Storage, target: Storage, load: Callable[[], LoadedModel]
) -> Part:
    """Predicts the pictures of a shard, unless its file is there.

    Args:
        plan: The plan of the batch.
        shard: The shard.
        pictures: Where the pictures are.
        target: Where the file goes.
        load: Loads the version of the plan.

    Raises:
        PipelineError: The model has other weights than the plan says.
        StorageError: The storage cannot be read, or not be written.
    """
    listing, rows = read_listing(target, plan.listing), shard.rows(plan.pictures)
    code = source_digest(Path(__file__).parent)
    entries = entries_key(unpack(listing, rows))
    key = content_key([plan.model, plan.version, plan.weights, plan.images, code, entries])
    name = f"part-{shard.number:05}-{key[:16]}.parquet"
    content = target.read(name)
    if content and read_metadata(content).get(KEY) == key:
        errors = [row["error"] for row in read_columns(content, "error") if row["error"]]
        if not any(error in MOMENTARY for error in errors):
            return Part(name, len(rows), len(errors))
    model = load()
    if weights_of(model.version) != plan.weights:
        raise PipelineError(
            f"version {plan.version} has other weights than when this batch began", "start the batch again"
        )
    began = time.monotonic()
    sources = (Source(entry.name, partial(_read, pictures, entry)) for entry in unpack(listing, rows))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "part.parquet"
        metadata = {KEY: key, "images": plan.images}
        counts = write_table(path, model, predict_pictures(model, sources, THREADS), metadata)
        target.remove(SUCCESS)  # from here on, old and new files may lie side by side
        target.write(name, path.read_bytes())
    return Part(name, *counts, time.monotonic() - began)


def _read(pictures: Storage, entry: Entry) -> bytes:
    if entry.size > MAX_BYTES:
        raise DataError(f"more than {MAX_BYTES >> 20} MiB")
    content = pictures.read(entry.name)
    if content is None:
        raise DataError(GONE)
    return content
