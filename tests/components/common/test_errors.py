"""Errors: the hint in pods, and the counts in messages."""

import pytest

from components.common.errors import StorageError, counted


def test_hint_for_pods_is_the_other_where_there_is_none() -> None:
    assert StorageError("x", "mend it").cluster_hint == "mend it"
    assert StorageError("x").cluster_hint == ""


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 fields"), (1, "1 field"), (2, "2 fields"), (1234, "1,234 fields")]
)
def test_number_with_its_noun(number: int, expected: str) -> None:
    assert counted(number, "field") == expected
