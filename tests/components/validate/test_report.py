"""The outliers of the validation report."""

import pandas as pd

from components.validate.report import OUTLIERS, outliers


def test_outliers_are_far_from_their_own_class():
    count = 50
    table = pd.DataFrame(
        {
            "index": range(2 * count),
            "label": [0] * count + [1] * count,
            "mean": [mean + 0.001 * (i % 5) for mean in (0.1, 0.8) for i in range(count)],
            "std": 0.2,
            "nonzero_share": 0.5,
        }
    )
    table.loc[7, "mean"] = 0.8  # usual in the other class

    worst = outliers(table)

    assert len(worst) == OUTLIERS
    assert worst["index"].iloc[0] == 7
    assert worst["z"].is_monotonic_decreasing
