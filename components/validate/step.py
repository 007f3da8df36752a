"""Validation: checks that the data is what training expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import ValidationError, counted
from components.common.files import data_version, staged, write_json

if TYPE_CHECKING:
    from components.common.params import DataParams
    from components.validate.params import ValidateParams
    from components.validate.suite import Verdict


def validate(
    data: Path,
    out: Path,
    data_params: DataParams,
    params: ValidateParams,
    sha256: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Checks the files, then every image, and writes the verdict and a report.

    Args:
        data: Folder of the four IDX files.
        out: Folder for `verdict.json` (verdict and data version, the only input of training from here, so
            that other results with the same verdict do not retrain), `validation.json` (all expectations)
            and `report.html`. None contains a time or an id.
        data_params: The declared properties of the data.
        params: The limits of the expectations.
        sha256: The expected digest of each file, by name.

    Returns:
        The content of `validation.json`.

    Raises:
        DataError: A file is missing, too short for a header or foreign. Nothing is written.
        ValidationError: A critical expectation failed. Verdict and report are written.
    """
    from components.validate import suite, tables
    from components.validate.report import write_report

    validator = suite.Validator()
    files = tables.file_table(data, data_params, sha256 or {})
    verdicts = validator.verdicts("files", files, suite.file_expectations())
    images = {}
    if all(verdict.passed for verdict in verdicts):  # else the images are unreadable or the wrong ones
        images = tables.image_tables(data)
        for split, table in images.items():
            expectations = suite.image_expectations(split, len(table), data_params, params)
            verdicts += validator.verdicts(split, table, expectations)
        splits = tables.split_table(images)
        for split in images:
            row = splits[splits["index"] == split]
            expectations = suite.split_expectations(data_params, params)
            verdicts += validator.verdicts(f"{split} pixels", row, expectations)
        classes = tables.class_table(images, data_params.classes)
        for split in images:
            rows = classes[classes["split"] == split]
            verdicts += validator.verdicts(f"{split} classes", rows, suite.class_expectations(params))

    failed = [v for v in verdicts if not v.passed and v.severity == "critical"]
    result = {
        "verdict": "failed" if failed else "passed",
        "data_version": data_version(data),
        "warnings": sum(not v.passed for v in verdicts) - len(failed),
        "images": {split: len(table) for split, table in images.items()},
        "expectations": [asdict(verdict) for verdict in verdicts],
    }
    with staged(out) as stage:
        write_report(stage / "report.html", result, data, data_params, images)
        write_json(stage / "validation.json", result)
        write_json(stage / "verdict.json", {name: result[name] for name in ("verdict", "data_version")})
    if failed:
        raise ValidationError(
            f"{counted(len(failed), 'critical expectation')} failed on {data}\n{verdict_table(failed)}",
            f"{out / 'report.html'} shows the data; correct it, or the expectation in params.yaml",
            "`fashion step validate` on your machine makes a report that shows the data; correct it and "
            "`dvc push data.dvc`, or the expectation in params.yaml; then submit the run again",
        )
    return result


def verdict_table(verdicts: list[Verdict]) -> str:
    """The verdicts as a text table."""
    from tabulate import tabulate

    return tabulate(
        [
            (v.table, v.name, v.severity, v.expected, v.observed, ", ".join(map(str, v.examples)))
            for v in verdicts
        ],
        headers=("on", "expectation", "severity", "expected", "observed", "examples"),
        tablefmt="simple",
        maxcolwidths=[None, None, None, 30, 60, 40],
    )
