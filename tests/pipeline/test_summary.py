"""The summary of the last run."""

import re
from pathlib import Path

from mlflow import MlflowClient

from tests.support.project import Project, new_project


def test_the_summary_says_what_happened(project: Project):
    project.fashion("run")
    metrics = project.json("outputs/evaluate/metrics.json")

    text = project.fashion("summary").stdout

    for words in (
        project.json("outputs/train/training.json")["data_version"],
        f"{metrics['accuracy']:.2%}",
        "fashion-mnist version 1, champion",
        "accuracy         ",
        "outputs/evaluate/report.html",
        "make ui",
    ):
        assert words in text
    uri, name, version = re.findall(r"set_tracking_uri\('(.*)'\)\n.*'models:/(.*)/(.*)'\)", text)[0]
    assert MlflowClient(uri).get_model_version(name, version).tags["gate"] == "passed"


def test_a_summary_before_the_first_run_says_what_to_do(subset: Path, tmp_path: Path):
    project = new_project(tmp_path / "new", subset)

    result = project.fashion("summary", code=1)

    assert "validation.json is missing" in result.stderr
    assert "dvc repro" in result.stderr
