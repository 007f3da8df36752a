"""`dvc.lock` proves a result: whoever runs the same data, parameters and code gets the same file."""

from pathlib import Path

import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from tests.support.project import ROOT, Project, new_project

TRACKED = ("dvc.lock", "outputs/evaluate/metrics.json", "mlruns/registration.json")


def test_the_committed_lock_is_of_this_code_and_these_parameters():
    stages = [stage for stage in Repo(str(ROOT)).index.stages if not stage.is_data_source]
    changed = {
        stage.addressing: dep.status()
        for stage in stages
        for dep in stage.deps
        if (isinstance(dep, ParamsDependency) or str(dep).startswith("components")) and dep.status()
    }
    assert changed == {}, "run `make run`, and commit dvc.lock"


@pytest.mark.slow
def test_a_fresh_clone_reproduces_the_committed_lock(trained: Project, subset: Path, tmp_path: Path):
    clone = new_project(tmp_path / "clone", subset)
    for name in TRACKED[:2]:
        (clone.root / name).parent.mkdir(parents=True, exist_ok=True)
        (clone.root / name).write_bytes((trained.root / name).read_bytes())
    clone.git("add", "--all")
    clone.git("commit", "--quiet", "--message", "lock")

    printed = clone.fashion("run").stdout

    assert {name: clone.run("cat", name).stdout for name in TRACKED} == {
        name: trained.run("cat", name).stdout for name in TRACKED
    }
    assert clone.git("status", "--porcelain", "--", ".", ":!.dvc/site") == ""
    assert "Running stage 'train'" in printed
    for advice in ("git add", "autostage", "dvc push", "lock file"):
        assert advice not in printed


def test_a_stage_that_fails_is_named(fresh_project: Project):
    (fresh_project.root / "data" / "t10k-labels-idx1-ubyte").unlink()
    code = "from pathlib import Path; from pipeline.data.dataset import run_dvc\n"
    code += "run_dvc(Path(), 'repro', 'validate')"

    result = fresh_project.run("python", "-c", code, code=1)

    assert "failed to reproduce 'validate'" in result.stderr
