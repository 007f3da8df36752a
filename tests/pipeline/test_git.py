"""Git's own refusals are told apart from a folder without git."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipeline import git
from tests.support.project import ROOT, Project, environment_of

DIFFERENT_OWNER = "GIT_TEST_ASSUME_DIFFERENT_OWNER"
"""With this variable the real git takes every repository for another user's."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository with one commit, as the code that runs."""
    root = tmp_path / "it's a repository"
    (root / ".dvc").mkdir(parents=True)
    for name in ("data.dvc", ".dvc/config"):
        shutil.copy(ROOT / name, root / name)
    (root / "params.yaml").touch()
    project = Project(root, environment_of(root) | {"PYTHONPATH": str(ROOT)})
    project.init_git()
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "start")
    monkeypatch.setattr(git, "CODE_ROOT", root)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.delenv("FASHION_COMMIT", raising=False)
    return project


def test_the_commit_is_the_repositorys_and_a_changed_parameter_makes_it_dirty(repository: Project):
    commit = repository.git("rev-parse", "HEAD").strip()
    assert git.git_version() == {"mlflow.source.git.commit": commit, "git.dirty": "false"}
    (repository.root / "params.yaml").write_text("train: {}")
    assert git.git_version() == {"mlflow.source.git.commit": commit, "git.dirty": "true"}


def test_a_folder_without_git_and_a_repository_without_a_commit_have_no_version(repository: Project):
    shutil.rmtree(repository.root / ".git")
    assert git.git_version() == {}
    assert not git.is_changed("params.yaml")
    repository.git("init", "--quiet")
    assert git.is_repository(repository.root)
    assert git.git_version() == {}


def test_a_repository_around_the_ceiling_is_not_ours(repository: Project, monkeypatch: pytest.MonkeyPatch):
    inner = repository.root / "inner"
    inner.mkdir()
    assert git.is_repository(inner)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.root))
    assert not git.is_repository(inner)


def another_owner(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIFFERENT_OWNER, "1")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")


def no_git(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(root))


def no_head(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ".git" / "HEAD").unlink()


def lost_worktree(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(root / ".git")
    (root / ".git").write_text("gitdir: /nowhere\n")


def bare(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (root / ".git" / "config").open("a") as file:
        file.write("[core]\n\tbare = true\n")


@pytest.mark.parametrize(
    ("spoil", "message", "hint"),
    [
        (another_owner, "belongs to another user", "`git config --global --add safe.directory '"),
        (no_git, "git is missing", "install git"),
        (no_head, "not a git repository", "correct it"),
        (lost_worktree, "not a git repository: /nowhere", "correct it"),
        (bare, "core.bare is true", "correct it"),
    ],
)
def test_a_repository_that_git_refuses_is_an_error_and_not_a_run_without_commit(
    repository: Project,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    message: str,
    hint: str,
):
    spoil(repository.root, monkeypatch)
    for call in (git.git_version, lambda: git.is_changed("params.yaml")):
        with pytest.raises(PipelineError, match=message) as refused:
            call()
        assert refused.value.hint.startswith(hint)


def test_a_run_in_somebody_elses_repository_ends_with_the_command_that_trusts_it(
    repository: Project, tmp_path: Path
):
    shutil.copy(ROOT / "params.yaml", repository.root)
    home = tmp_path / "home"
    home.mkdir()
    environment = {DIFFERENT_OWNER: "1", "HOME": str(home), "MLFLOW_TRACKING_URI": ""}

    refused = repository.run("fashion", "run", code=1, environment=environment)

    assert not (repository.root / ".dvc" / "config.local").exists()
    command = refused.stderr.split("`")[1]
    repository.run("sh", "-c", command, environment=environment)
    repository.run("git", "status", environment=environment)


def test_a_worktree_is_clean_and_is_removed(repository: Project, tmp_path: Path):
    inner = repository.root / "inner"
    inner.mkdir()
    (inner / "params.yaml").touch()
    repository.git("add", "inner")
    repository.git("commit", "--quiet", "--message", "inner")
    commit = repository.git("rev-parse", "HEAD").strip()
    hook = repository.root / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\nexit 1\n")  # it is not for this worktree
    hook.chmod(0o755)
    (inner / "params.yaml").write_text("changed")
    folder = tmp_path / "worktree"

    with pytest.raises(KeyboardInterrupt):  # noqa: PT012, SIM117
        with git.worktree(inner, commit, folder) as copy:
            assert copy == folder / "inner"
            assert (copy / "params.yaml").read_text() == ""
            raise KeyboardInterrupt
    assert not folder.exists()
    assert repository.git("worktree", "list").count("\n") == 1

    with git.worktree(inner, commit, folder, keep=True):
        pass
    assert str(folder) in repository.git("worktree", "list")
    with pytest.raises(FileExistsError), git.worktree(inner, commit, folder):
        pass
    assert (folder / "inner").exists()
