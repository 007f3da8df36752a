"""Git: whether a folder is in a repository, the commit of the running code, and worktrees."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.common.errors import PipelineError
from pipeline.process import GIT_VARIABLES, NO_HOME

CODE_ROOT = Path(__file__).parents[1]
CODE = (
    *("components", "pipeline", "fashion_pipeline.py", "params.yaml", "dvc.yaml", "data.dvc"),
    *("pyproject.toml", "requirements"),
)
"""What influences a run's result; the pipeline's own outputs (lock, metrics) do not make it dirty."""
TIMEOUT_SECONDS = 60


def git_version() -> dict[str, str]:
    """MLflow tags: the commit of the running code, and whether files differ from it. Empty without git.

    In an image, the commit is that of the image, and the tag `git.dirty` is about the code alone.

    Raises:
        PipelineError: There is a repository, but git refuses to read it.
    """
    commit = ""
    if is_repository(CODE_ROOT):
        commit = _git(CODE_ROOT, "rev-parse", "--verify", "--quiet", "HEAD").stdout.strip()
    if not commit:  # in an image
        commit, dirty, _ = os.environ.get("FASHION_COMMIT", "").partition("-dirty-")
        return {"mlflow.source.git.commit": commit, "git.dirty": str(bool(dirty)).lower()} if commit else {}
    return {"mlflow.source.git.commit": commit, "git.dirty": str(is_changed(*CODE)).lower()}


def is_changed(*paths: str) -> bool:
    """Whether one of these files of the code has uncommitted changes.

    Raises:
        PipelineError: git cannot read the repository.
    """
    if not is_repository(CODE_ROOT):
        return False
    result = _git(CODE_ROOT, "status", "--porcelain", "--untracked-files=all", "--", *paths)
    if result.returncode:
        raise PipelineError(f"git cannot read {CODE_ROOT}: {_reason(result)}", "correct what git names")
    return bool(result.stdout)


def is_repository(folder: Path) -> bool:
    """Whether a folder is in a git repository.

    Raises:
        PipelineError: It is, but git is not installed or refuses the repository: runs would be recorded
            without their commit.
    """
    entry = next((p / ".git" for p in (folder, *folder.parents) if (p / ".git").exists()), None)
    if entry is None:
        return False
    without = f"or move {entry} away to work without git"
    try:
        result = _git(folder, "rev-parse", "--is-inside-work-tree")
    except FileNotFoundError:
        raise PipelineError(f"git is missing, but {entry} is there", f"install git, {without}") from None
    if result.stdout.strip() == "true":
        return True
    if "not a git repository (or any" in result.stderr and entry.parent != folder:
        return False  # git looks no further up than GIT_CEILING_DIRECTORIES and the file system's boundary
    command = next((x.strip() for x in result.stderr.splitlines() if x.startswith("\tgit config")), None)
    if command:
        if not Path(os.environ.get("HOME", NO_HOME)).is_dir():
            command = command.replace("--global", "--system")  # a user without a home has no settings there
        raise PipelineError(
            f"git does not trust {entry.parent}: it belongs to another user", f"`{command}`, {without}"
        )
    reason = _reason(result) if result.returncode else "it has no files (core.bare is true)"
    raise PipelineError(f"git cannot use {entry}: {reason}", f"correct it, {without}")


@contextmanager
def worktree(root: Path, commit: str, folder: Path, keep: bool = False) -> Iterator[Path]:
    """Checks a commit out in a git worktree of its own, which is removed at the end, whatever happens.

    Args:
        root: A folder in the repository.
        commit: The commit; the worktree's HEAD is detached, so no branch changes.
        folder: The worktree's folder, which must not exist.
        keep: Do not remove the worktree.

    Yields:
        The folder that corresponds to `root`.

    Raises:
        PipelineError: The repository does not have the commit, or git cannot check it out.
        OSError: The folder exists, or cannot be created.
    """
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    if found.returncode:
        raise PipelineError(
            f"the commit {commit} is not in the repository of {root}",
            "fetch it: `git fetch --all`, in a shallow clone `git fetch --unshallow`",
        )
    inside = _git(root, "rev-parse", "--show-prefix").stdout.strip()
    folder.mkdir(parents=True)
    add = ("worktree", "add", "--quiet", "--detach", str(folder), found.stdout.strip())
    try:
        result = _git(root, "-c", f"core.hooksPath={os.devnull}", *add)
        if result.returncode:
            raise PipelineError(f"git cannot check out {commit}: {_reason(result)}", "correct what git names")
        yield folder / inside
    finally:
        if not keep:  # twice --force: a worktree whose creation was interrupted is locked
            _git(root, "worktree", "remove", "--force", "--force", str(folder))
            shutil.rmtree(folder, ignore_errors=True)


def _reason(result: subprocess.CompletedProcess[str]) -> str:
    return " ".join(result.stderr.split()).removeprefix("fatal: ")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs git with messages in English, because they are parsed."""
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={name: os.environ[name] for name in os.environ.keys() - GIT_VARIABLES} | {"LC_ALL": "C"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PipelineError(
            f"`git {' '.join(arguments)}` in {folder} takes more than {TIMEOUT_SECONDS} s",
            "find out what that command waits for",
        ) from None
