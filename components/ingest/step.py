"""Ingest: obtains the data files from the first source that has them, and verifies every byte."""

import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from components.common.errors import DataError, redacted
from components.common.files import file_digest, staged
from components.ingest.sources import Source, SourceError

Digests = Mapping[str, str]
"""SHA-256 of each data file by its name."""
GZIP = b"\x1f\x8b"
"""The first bytes of gzip; IDX begins with two zeros."""


def ingest(
    data: Path,
    expected: Digests,
    sources: Sequence[Source],
    replace: bool = False,
    say: Callable[[str], None] = print,
) -> str:
    """Fetches the files that are missing in `data`.

    Args:
        data: The data folder.
        expected: SHA-256 of each file; there may be no other file in `data`.
        sources: They are tried in this order.
        replace: Fetch wrong files again, instead of raising an error.
        say: Called with a line for each source that failed.

    Returns:
        The name of the source, or `present` if nothing was missing.

    Raises:
        DataError: A file in `data` is not the expected one, or no source has all missing files.
    """
    missing, wrong = check(data, expected)
    foreign = wrong.keys() - expected.keys()
    if foreign or (wrong and not replace):
        raise DataError(
            f"{data} does not hold the data that data.dvc describes:\n  " + "\n  ".join(wrong.values()),
            "remove what does not belong; `fashion data --replace` takes the right files from DVC's cache, "
            "or fetches them again; to use other data on purpose, see `fashion data adopt --help`",
        )
    wanted = [*missing, *wrong]
    if not wanted:
        return "present"
    failures = []
    for source in sources:
        try:
            with staged(data) as stage:
                source.fetch(stage, wanted)
                unpack(stage)
                absent, damaged = check(stage, {name: expected[name] for name in wanted})
                if absent or damaged:
                    faults = [f"{name} is missing" for name in absent] + list(damaged.values())
                    raise SourceError("; ".join(faults))
        except SourceError as error:
            failures.append(redacted(f"{source.name}: {error}"))
            say(f"no data from {failures[-1]}")
        else:
            return source.name
    raise DataError(
        f"no source has the data set ({', '.join(wanted)}):\n  " + "\n  ".join(failures),
        "put the four files, gzipped or not, into a folder and run `fashion data --from FOLDER`",
    )


def check(data: Path, expected: Digests) -> tuple[list[str], dict[str, str]]:
    """The missing files, and a message for each file that is wrong or does not belong there."""
    found = {path.relative_to(data).as_posix(): path for path in data.rglob("*") if path.is_file()}
    wrong = {f"{name}/": f"{name} is a folder" for name in expected if (data / name).is_dir()}
    for name, path in sorted(found.items()):
        if name not in expected:
            wrong[name] = f"{name} does not belong to the data set"
        elif (digest := file_digest(path, "sha256")) != expected[name]:
            wrong[name] = f"{name} has SHA-256 {digest}, expected {expected[name]}"
    return [name for name in expected if name not in found], wrong


def unpack(folder: Path) -> None:
    """Decompresses all files with gzip content, whatever their names, and removes `.gz` from the names.

    Raises:
        SourceError: A file is truncated or damaged.
    """
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        try:
            while content.startswith(GZIP):  # a server may have compressed a compressed file again
                content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(f"{path.name} is damaged: {error}") from None
        path.unlink()
        path.with_name(path.name.removesuffix(".gz")).write_bytes(content)
