"""`fashion data show`."""

import numpy as np
from PIL import Image

from tests.support.project import TEST_EACH, TRAIN_EACH, Project


def test_data_show_draws_samples_and_counts_the_classes(project: Project):
    text = project.fashion("data", "show").stdout

    rows = [line.split() for line in text.splitlines()[2:12]]
    assert [row[-2:] for row in rows] == [[str(TRAIN_EACH), str(TEST_EACH)]] * 10
    assert rows[9][:2] == ["Ankle", "boot"]
    for name in ("samples", "per_class", "class_counts"):
        with Image.open(project.root / "outputs" / "data" / f"{name}.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 10  # not blank
