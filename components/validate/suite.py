"""The expectations, and their verdicts by Great Expectations."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from components.common.idx import Split

if TYPE_CHECKING:
    import pandas as pd

    from components.common.params import DataParams
    from components.validate.params import ValidateParams

MAX_EXAMPLES = 5


@dataclass(frozen=True)
class Expectation:
    """One expectation: a Great Expectations class by name, its arguments, and how to say it."""

    name: str
    expected: str
    kind: str
    arguments: dict[str, Any]
    severity: str = "critical"
    of_images: bool = False
    """Whether rows are images, of which to say how many failed, or summaries, whose range says more."""


@dataclass(frozen=True)
class Verdict:
    """What came of one expectation. `examples` are row indices, names of files or of classes."""

    table: str
    name: str
    severity: str
    passed: bool
    expected: str
    observed: str
    examples: list[Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def file_expectations() -> list[Expectation]:
    """On `file_table`: every property equals the expected one."""
    wording = {
        "magic": "the magic number of its kind of IDX file",
        "bytes": "as many bytes as its header asks for",
        "images": "as many images as labels in each split",
        "shape": "the counts and the image size of params.yaml",
        "sha256": "the SHA-256 in data.dvc",
    }
    return [
        Expectation(
            column,
            text,
            "ExpectColumnPairValuesToBeEqual",
            {"column_A": column, "column_B": f"expected_{column}"},
        )
        for column, text in wording.items()
    ]


def image_expectations(
    split: Split, count: int, data: DataParams, params: ValidateParams
) -> list[Expectation]:
    """On a table of `image_tables` with `count` rows."""

    def at_most(allowed: int) -> float:
        # Half an image of slack, so that rounding never turns "exactly as many as allowed" into a failure.
        return max(0.0, 1 - (allowed + 0.5) / max(count, 1)) if allowed else 1.0

    classes = len(data.classes)
    copies = params.duplicates_in_train if split == "train" else params.duplicates_in_test
    expectations = [
        Expectation(
            "labels",
            f"0 to {classes - 1}",
            "ExpectColumnValuesToBeBetween",
            {"column": "label", "min_value": 0, "max_value": classes - 1},
            params.labels.severity,
            of_images=True,
        ),
        Expectation(
            "blank_images",
            f"not of one shade; at most {params.blank_images.max} may be",
            "ExpectColumnValuesToBeBetween",
            {
                "column": "std",
                "min_value": 0.0,
                "strict_min": True,
                "mostly": at_most(params.blank_images.max),
            },
            params.blank_images.severity,
            of_images=True,
        ),
        Expectation(
            f"duplicates_in_{split}",
            f"no copy of an earlier one; at most {copies.max} may be",
            "ExpectColumnValuesToBeNull",
            {"column": "copy_of", "mostly": at_most(copies.max)},
            copies.severity,
            of_images=True,
        ),
    ]
    if split == "test":
        across = params.duplicates_across
        expectations.append(
            Expectation(
                "duplicates_across",
                f"not in train too; at most {across.max} may be",
                "ExpectColumnValuesToBeNull",
                {"column": "in_train", "mostly": at_most(across.max)},
                across.severity,
                of_images=True,
            )
        )
    return expectations


def split_expectations(data: DataParams, params: ValidateParams) -> list[Expectation]:
    """On `split_table`: the statistics of all pixels."""

    def between(column: str, low: float, high: float, severity: str) -> Expectation:
        return Expectation(
            column,
            f"{low:.4g} to {high:.4g}",
            "ExpectColumnValuesToBeBetween",
            {"column": column, "min_value": low, "max_value": high},
            severity,
        )

    mean, std, nonzero = params.pixel_mean, params.pixel_std, params.nonzero_share
    return [
        between(
            "pixel_mean",
            data.pixel_mean - mean.tolerance,
            data.pixel_mean + mean.tolerance,
            mean.severity,
        ),
        between("pixel_std", data.pixel_std - std.tolerance, data.pixel_std + std.tolerance, std.severity),
        between("nonzero_share", nonzero.min, nonzero.max, nonzero.severity),
    ]


def class_expectations(params: ValidateParams) -> list[Expectation]:
    """On `class_table`: the balance of the classes."""
    share = params.class_share
    return [
        Expectation(
            "class_share",
            f"{share.min:.4g} to {share.max:.4g}",
            "ExpectColumnValuesToBeBetween",
            {"column": "share", "min_value": share.min, "max_value": share.max},
            share.severity,
        )
    ]


class Validator:
    """Great Expectations in memory: nothing is written, nothing is sent, nothing is printed."""

    def __init__(self) -> None:
        import os

        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        logging.getLogger("great_expectations").setLevel(logging.WARNING)
        import great_expectations as gx

        self._gx = gx
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = {"globally": False}
        self._source = self._context.data_sources.add_pandas("data")

    def verdicts(self, name: str, table: pd.DataFrame, expectations: list[Expectation]) -> list[Verdict]:
        """Holds a table, whose column `index` names its rows, against expectations."""
        gx = self._gx
        suite = gx.ExpectationSuite(
            name,
            expectations=[
                getattr(gx.expectations, e.kind)(**e.arguments, severity=e.severity, meta={"name": e.name})
                for e in expectations
            ],
        )
        asset = self._source.add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe(name).get_batch({"dataframe": table})
        result = batch.validate(
            suite,
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": ["index"],
            },
        )
        by_name = {r["expectation_config"]["meta"]["name"]: r for r in result.to_json_dict()["results"]}
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
