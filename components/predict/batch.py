"""Predicts the pictures of a storage in shards: a plan, then a Parquet file for each shard.

Each runs in a process of its own. A shard whose file exists, of the same model and the same
pictures, is not predicted again: so a batch goes on where it ended, and one that was done is done at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.errors import DataError, PipelineError, counted
from components.common.files import content_key, source_digest
from components.predict.picture import MAX_BYTES
from components.predict.shards import Shard, entries_key, list_pictures, pack, read_listing, unpack
from components.predict.step import Source, predict_pictures
from components.predict.table import read_metadata, write_table
from components.registry.registry import weights_of

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from components.common.s3 import Entry
    from components.common.storage import Storage
    from components.registry.model import LoadedModel

SUCCESS = "_SUCCESS.json"
"""The summary, written when all shards are there. Readers of Parquet take no name with `_` for data."""
KEY = "key"
"""In the metadata of a shard's file: a digest of the model, of this code, and of the list of its pictures."""
THREADS = 8
"""Pictures that are read at the same time: most of the time of each is waiting."""


@dataclass(frozen=True)
class Plan:
    """What the shards of a batch have in common.

    Args:
        model: Name of the registered model.
        version: The version that predicts, whoever is champion meanwhile.
        weights: Its digest.
        listing: The object with the list of the pictures.
        pictures: How many there are.
    """

    model: str
    version: int
    weights: str
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
    plan = Plan(version.name, int(version.version), weights_of(version), name, len(listing))
    target.write(name, content)
    if json.loads(target.read(SUCCESS) or b"{}").get("plan") != asdict(plan):
        target.remove(SUCCESS)  # from here on, old and new files may lie side by side
    return plan


@dataclass(frozen=True)
class Part:
    """The file of a shard.

    Args:
        name: Its name.
        pictures: Its number of pictures.
        seconds: What reading and predicting them took; None if the file was there already.
    """

    name: str
    pictures: int
    seconds: float | None = None

    @property
    def line(self) -> str:
        """The result in a line."""
        how = "was there already" if self.seconds is None else f"{self.seconds:.0f} s without the start"
        return f"{counted(self.pictures, 'picture')}, {how}: {self.name}"


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
    key = content_key([plan.model, plan.version, plan.weights, code, entries_key(unpack(listing, rows))])
    name = f"part-{shard.number:05}-{key[:16]}.parquet"
    content = target.read(name)
    if content and read_metadata(content).get(KEY) == key:
        return Part(name, len(rows))
    model = load()
    if weights_of(model.version) != plan.weights:
        raise PipelineError(
            f"version {plan.version} has other weights than when this batch began", "start the batch again"
        )
    began = time.monotonic()
    sources = (Source(entry.name, partial(_read, pictures, entry)) for entry in unpack(listing, rows))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "part.parquet"
        write_table(path, model, predict_pictures(model, sources, THREADS), {KEY: key})
        target.write(name, path.read_bytes())
    return Part(name, len(rows), time.monotonic() - began)


def _read(pictures: Storage, entry: Entry) -> bytes:
    if entry.size > MAX_BYTES:
        raise DataError(f"more than {MAX_BYTES >> 20} MiB")
    content = pictures.read(entry.name)
    if content is None:
        raise DataError("it was there when the batch began, and is not any more")
    return content
