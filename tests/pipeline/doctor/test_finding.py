"""The object that is written to try a bucket."""

from pathlib import Path

import pytest

from components.common.errors import StorageError
from components.common.storage import FolderStorage
from pipeline.doctor.finding import try_bucket


class Forgetful(FolderStorage):
    """A storage that returns other bytes than those that were written."""

    def read(self, name: str) -> bytes | None:
        return b"other"


def test_the_object_is_compared_and_deleted(tmp_path: Path):
    try_bucket(FolderStorage(tmp_path))
    with pytest.raises(StorageError, match="does not return what was written"):
        try_bucket(Forgetful(tmp_path))
    assert list(tmp_path.iterdir()) == []
