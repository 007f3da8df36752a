"""Two versions side by side, from given predictions."""

from pathlib import Path

import pytest

from components.registry.registry import Registry
from pipeline.registry.difference import difference, draw_disagreements
from tests.support.registry import CLASSES, add_version, predictions


def test_two_versions_are_compared_image_by_image(registry: Registry, subset: Path, tmp_path: Path):
    add_version(registry, subset, predictions(subset, wrong=range(50)), "a")
    add_version(registry, subset, predictions(subset, wrong=range(40, 60)), "b")

    result = difference(registry, 1, 2, subset, CLASSES, 500)

    assert (result["champion_accuracy"], result["accuracy"]) == (0.9, 0.96)
    assert (result["champion_only_right"], result["only_right"], result["changed"]) == (10, 40, 50)
    one, two = zip(*result["recalls"].values(), strict=True)
    assert (sum(one) / 10, sum(two) / 10) == (pytest.approx(0.9), pytest.approx(0.96))

    picture = tmp_path / "new" / "picture.png"
    assert draw_disagreements(subset, result["predicted"], ("v1", "v2"), CLASSES, picture) == 50
    assert picture.read_bytes().startswith(b"\x89PNG")
