"""The tables that expectations check: files, images of each split, splits, and classes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from components.common import idx
from components.common.errors import DataError
from components.common.files import file_digest

if TYPE_CHECKING:
    from components.common.params import DataParams


def file_table(data: Path, params: DataParams, sha256: Mapping[str, str]) -> pd.DataFrame:
    """A row per file: `magic`, `bytes`, `shape`, `images`, `sha256`, each also as `expected_…`.

    `images` is the count in the file; expected is that of the other file of the split.

    Raises:
        DataError: A file is missing, too short for a header, or not of the data set.
    """
    foreign = {path.name for path in data.iterdir()} - set(idx.FILE_NAMES)
    if foreign:
        raise DataError(
            f"{data} holds files that do not belong to the data set: {', '.join(sorted(foreign))}",
            "remove it",
            "this version of the data contains it: remove it from data/, then `dvc add data` and "
            "`dvc push data.dvc`, and submit the run again",
        )
    rows = []
    for split in idx.SPLITS:
        headers = {kind: idx.read_header(data / idx.file_name(split, kind)) for kind in idx.KINDS}
        count = params.train_images if split == "train" else params.test_images
        shapes = {"images": (count, params.height, params.width), "labels": (count,)}
        for kind, sibling in zip(idx.KINDS, reversed(idx.KINDS), strict=True):
            name, header = idx.file_name(split, kind), headers[kind]
            digest = file_digest(data / name, "sha256")
            rows.append(
                {
                    "index": name,
                    "magic": f"0x{header.magic:08x}",
                    "expected_magic": f"0x{idx.MAGIC[kind]:08x}",
                    "bytes": header.data_bytes,
                    "expected_bytes": header.expected_bytes,
                    "shape": str(header.shape),
                    "expected_shape": str(shapes[kind]),
                    "images": header.shape[0] if header.shape else -1,
                    "expected_images": headers[sibling].shape[0] if headers[sibling].shape else -1,
                    "sha256": digest,
                    "expected_sha256": sha256.get(name, digest),
                }
            )
    return pd.DataFrame(rows)


def image_tables(data: Path) -> dict[idx.Split, pd.DataFrame]:
    """A row per image of each split.

    Columns: `index`, `label`, `min`, `max` (0 to 255), `mean`, `std` (of the pixels / 255),
    `nonzero_share`, `content` (digest of the pixels), `copy_of` (index of the first identical
    image of the split, or null) and, in test, `in_train` (index of an identical train image, or null).
    """
    tables: dict[idx.Split, pd.DataFrame] = {}
    for split in idx.SPLITS:
        images, labels = idx.read_split(data, split)
        pixels = images.reshape(len(images), -1)
        mean = pixels.mean(axis=1)
        mean_square = np.square(pixels, dtype=np.uint32).mean(axis=1)
        table = pd.DataFrame(
            {
                "index": np.arange(len(images)),
                "label": labels.astype(int),
                "min": pixels.min(axis=1).astype(int),
                "max": pixels.max(axis=1).astype(int),
                "mean": mean / 255,
                "std": np.sqrt(np.maximum(mean_square - mean**2, 0)) / 255,
                "nonzero_share": (pixels > 0).mean(axis=1),
                "content": [hashlib.md5(row.tobytes(), usedforsecurity=False).hexdigest() for row in pixels],
            }
        )
        first = table.groupby("content")["index"].transform("first")
        table["copy_of"] = first.where(first != table["index"]).astype("Int64")
        tables[split] = table
    known = tables["train"].drop_duplicates("content").set_index("content")["index"]
    tables["test"]["in_train"] = tables["test"]["content"].map(known).astype("Int64")
    return tables


def split_table(tables: Mapping[idx.Split, pd.DataFrame]) -> pd.DataFrame:
    """A row per split: `images`, and `pixel_mean`, `pixel_std` and `nonzero_share` of all its pixels."""
    rows = []
    for split, table in tables.items():
        mean = table["mean"].mean()
        variance = (table["std"] ** 2 + table["mean"] ** 2).mean() - mean**2
        rows.append(
            {
                "index": split,
                "images": len(table),
                "pixel_mean": mean,
                "pixel_std": float(np.sqrt(max(variance, 0))),
                "nonzero_share": table["nonzero_share"].mean(),
            }
        )
    return pd.DataFrame(rows)


def class_table(tables: Mapping[idx.Split, pd.DataFrame], classes: list[str]) -> pd.DataFrame:
    """A row per split and class: `count` and `share`."""
    rows = []
    for split, table in tables.items():
        counts = table["label"].value_counts().reindex(range(len(classes)), fill_value=0)
        for name, count in zip(classes, counts.tolist(), strict=True):
            share = count / max(len(table), 1)
            rows.append((f"{split}: {name}", split, name, count, share))
    return pd.DataFrame(rows, columns=["index", "split", "class", "count", "share"])
