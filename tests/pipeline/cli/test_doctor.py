"""The command `fashion doctor`."""

import click
import pytest
from click.testing import CliRunner

from pipeline.cli.doctor import doctor
from tests.support.project import Project

pytest_plugins = ("tests.support.kfp_fixtures",)
pytestmark = pytest.mark.usefixtures("bare_environment")


def test_image_for_the_gpus_and_the_code_at_hand(fresh_project: Project, monkeypatch: pytest.MonkeyPatch):
    version = {"mlflow.source.git.commit": "0123456789abcdef"}
    changed: list[str] = []
    monkeypatch.setattr("pipeline.kubeflow.definition.image.git_version", lambda: version)
    monkeypatch.setattr(
        "pipeline.kubeflow.definition.image.is_changed", lambda *paths: bool({*paths} & {*changed})
    )
    monkeypatch.chdir(fresh_project.root)

    def line(command: click.Command, *arguments: str) -> str:
        lines = CliRunner().invoke(command, arguments).stdout.splitlines()
        return next(line for line in lines if line.startswith("image"))

    assert "ok  fashion-pipeline:0123456789ab-gpu " in line(doctor)
    assert "ok  fashion-pipeline:0123456789ab " in line(doctor, "--gpu", "0")
    changed.append("params.yaml")
    assert "ok  fashion-pipeline:0123456789ab " in line(doctor, "--gpu", "0")
    changed.append("pipeline")
    assert "--  the code differs" in line(doctor)
    assert "ok  other:1 " in line(doctor, "--image", "other:1")
    monkeypatch.setenv("FASHION_IMAGE", "named:1")
    assert "ok  named:1 " in line(doctor)
