"""The expectations on the data, checked by Great Expectations."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.common.idx import Split

if TYPE_CHECKING:
    import pandas as pd

    from components.common.params import DataParams
    from components.validate.params import AtMost, ValidateParams

MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Expectation:
    """An expectation: the name of its class in Great Expectations, and the arguments of that class."""

    name: str
    expected: str
    kind: str
    arguments: dict[str, Any]
    severity: str = "critical"
    of_images: bool = False
    """Whether the rows are images: then the number of failed rows is reported, else their range of values."""


@dataclass(frozen=True)
class Verdict:
    """The result of an expectation. `examples` are indices of images, or names of files or classes."""

    table: str
    name: str
    severity: str
    passed: bool
    expected: str
    observed: str
    examples: list[Any]


def file_expectations() -> list[Expectation]:
    """For `file_table`: each property equals the expected one."""
    properties = {
        "magic": "the magic number of its kind of IDX file",
        "bytes": "as many bytes as its header asks for",
        "images": "as many images as labels in each split",
        "shape": "the counts and the image size of params.yaml",
        "sha256": "the SHA-256 in data.dvc",
    }
    kind = "ExpectColumnPairValuesToBeEqual"
    return [
        Expectation(name, text, kind, {"column_A": name, "column_B": f"expected_{name}"})
        for name, text in properties.items()
    ]


def image_expectations(
    split: Split, count: int, data: DataParams, params: ValidateParams
) -> list[Expectation]:
    """For a table of `image_tables` with `count` rows."""

    def at_most(name: str, text: str, limit: AtMost, kind: str, **arguments: Any) -> Expectation:
        # Half an image of tolerance: rounding must not turn "exactly as many as allowed" into a failure.
        mostly = max(0.0, 1 - (limit.max + 0.5) / max(count, 1)) if limit.max else 1.0
        expected, arguments = f"{text}; at most {limit.max} may be", arguments | {"mostly": mostly}
        return Expectation(name, expected, kind, arguments, limit.severity, of_images=True)

    between, null = "ExpectColumnValuesToBeBetween", "ExpectColumnValuesToBeNull"
    highest = len(data.classes) - 1
    labels = {"column": "label", "min_value": 0, "max_value": highest}
    blank = {"column": "std", "min_value": 0.0, "strict_min": True}
    copies = params.duplicates_in_train if split == "train" else params.duplicates_in_test
    expectations = [
        Expectation("labels", f"0 to {highest}", between, labels, params.labels.severity, of_images=True),
        at_most("blank_images", "not of one shade", params.blank_images, between, **blank),
        at_most(f"duplicates_in_{split}", "no copy of an earlier one", copies, null, column="copy_of"),
    ]
    if split == "test":
        across = params.duplicates_across
        expectations.append(at_most("duplicates_across", "not in train too", across, null, column="in_train"))
    return expectations


def split_expectations(data: DataParams, params: ValidateParams) -> list[Expectation]:
    """For `split_table`: the statistics of all pixels."""
    mean, std, nonzero = params.pixel_mean, params.pixel_std, params.nonzero_share
    return [
        _between(
            "pixel_mean", data.pixel_mean - mean.tolerance, data.pixel_mean + mean.tolerance, mean.severity
        ),
        _between("pixel_std", data.pixel_std - std.tolerance, data.pixel_std + std.tolerance, std.severity),
        _between("nonzero_share", nonzero.min, nonzero.max, nonzero.severity),
    ]


def class_expectations(params: ValidateParams) -> list[Expectation]:
    """For `class_table`: the balance of the classes."""
    share = params.class_share
    return [_between("class_share", share.min, share.max, share.severity, column="share")]


def _between(name: str, low: float, high: float, severity: str, column: str = "") -> Expectation:
    arguments = {"column": column or name, "min_value": low, "max_value": high}
    return Expectation(name, f"{low:.4g} to {high:.4g}", "ExpectColumnValuesToBeBetween", arguments, severity)


class Validator:
    """Great Expectations in memory: it writes, sends and prints nothing."""

    def __init__(self) -> None:
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        import great_expectations as gx

        self._gx = gx
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        self._source = context.data_sources.add_pandas("data")

    def verdicts(self, name: str, table: pd.DataFrame, expectations: list[Expectation]) -> list[Verdict]:
        """Checks a table, whose column `index` names its rows."""
        kinds = self._gx.expectations
        suite = self._gx.ExpectationSuite(
            name,
            expectations=[
                getattr(kinds, e.kind)(**e.arguments, severity=e.severity, meta={"name": e.name})
                for e in expectations
            ],
        )
        asset = self._source.add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": table})
        options = {"result_format": "COMPLETE", "unexpected_index_column_names": ["index"]}
        results = batch.validate(suite, result_format=options).to_json_dict()["results"]
        by_name = {result["expectation_config"]["meta"]["name"]: result for result in results}
        return [_verdict(name, e, by_name[e.name], table) for e in expectations]


def _verdict(
    table_name: str, expectation: Expectation, result: dict[str, Any], table: pd.DataFrame
) -> Verdict:
    details = result["result"]
    examples = [row["index"] for row in details.get("unexpected_index_list") or []]
    column = expectation.arguments.get("column")
    if "unexpected_count" not in details:
        observed = f"not computed: {result['exception_info']}"
    elif column is None:
        wrong = table[table["index"].isin(examples)][expectation.arguments["column_A"]]
        observed = "; ".join(str(value) for value in wrong.head(MAX_EXAMPLES)) or "all equal"
    elif not expectation.of_images:
        low, high = table[column].min(), table[column].max()
        observed = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
    else:
        observed = f"{details['unexpected_count']:,} of {len(table):,} images are not"
    return Verdict(
        table_name,
        expectation.name,
        expectation.severity,
        bool(result["success"]),
        expectation.expected,
        observed,
        examples[:MAX_EXAMPLES],
    )
