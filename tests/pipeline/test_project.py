"""The folders of a project."""

from pathlib import Path

import pytest

from pipeline.project import Project, project_root


def test_root_is_the_nearest_parent_with_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "outer" / "inner")
    assert project_root() == tmp_path / "outer" / "inner"
    (tmp_path / "outer" / "params.yaml").touch()
    assert project_root() == tmp_path / "outer"


def test_paths_of_artifacts_replace_those_below_the_root(tmp_path: Path):
    project = Project(tmp_path, {"data": Path("/kfp/data"), "train": Path("/kfp/train")}, "s3://bucket/state")

    assert (project.data, project.out("train")) == (Path("/kfp/data"), Path("/kfp/train"))
    assert project.out("gate") == tmp_path / "outputs" / "gate"
    assert project.registration == tmp_path / "mlruns" / "registration.json"
    assert project.training_state == "s3://bucket/state"
    assert Project(tmp_path).training_state == str(tmp_path / "outputs" / ".training")
