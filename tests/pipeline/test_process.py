"""What the surroundings of a process may not change: git's repository, user, home, and the code that runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.process import GIT_VARIABLES
from tests.infra.test_image import arguments_of
from tests.support.project import ROOT, Project


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_gits_own_list_is_ours():
    result = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True
    )

    assert set(result.stdout.split()) <= set(GIT_VARIABLES)


@pytest.fixture
def hook(project: Project, tmp_path: Path) -> dict[str, str]:
    """The variables of a hook of another repository, and more of the kind."""
    victim = Project(tmp_path / "victim", project.environment)
    victim.root.mkdir()
    victim.init_git()
    (victim.root / "file").write_text("content")
    victim.git("add", "--all")
    victim.git("commit", "--quiet", "--message", "first")
    git = victim.root / ".git"
    return {
        "GIT_DIR": str(git),
        "GIT_COMMON_DIR": str(git),
        "GIT_WORK_TREE": str(victim.root),
        "GIT_INDEX_FILE": str(git / "index"),
        "GIT_OBJECT_DIRECTORY": str(git / "objects"),
        "GIT_PREFIX": "",
    }


def test_a_hooks_repository_is_untouched_by_the_pipeline_and_by_the_tests(
    project: Project, hook: dict[str, str], tmp_path: Path
):
    before = content(tmp_path / "victim")
    (project.root / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")

    project.run("fashion", "data", environment=hook)  # asks git, and calls DVC, which may use git from now on

    assert "no_scm" not in (project.root / ".dvc/config.local").read_text()
    script = (
        "import sys, tests.conftest; from pathlib import Path\n"
        "from tests.support.project import Project, environment_of\n"
        "root = Path(sys.argv[1]); root.mkdir(); project = Project(root, environment_of(root))\n"
        "project.init_git(); project.run('git', 'commit', '--allow-empty', '-m', 'x')"
    )
    Project(ROOT, project.environment).run(
        sys.executable, "-c", script, str(tmp_path / "made"), environment=hook
    )
    assert (tmp_path / "made/.git/HEAD").is_file()
    assert content(tmp_path / "victim") == before


@pytest.fixture
def nameless() -> list[str]:
    """What a command is put behind to run under a user id without an account, name or home."""
    namespace = ["unshare", "--user", "--map-user=12345", "--map-group=12345"]
    probe = subprocess.run([*namespace, "id", "--user"], capture_output=True, text=True, check=False)
    if probe.stdout != "12345\n":
        pytest.skip(f"no user namespaces here to lack an account in: {probe.stderr}")
    return [*namespace, "env", "--unset=LOGNAME", "--unset=USER", "--unset=HOME"]


def test_a_user_id_without_an_account_has_data_and_steps(project: Project, nameless: list[str]):
    (project.root / "data/t10k-labels-idx1-ubyte").unlink()

    assert "every byte verified" in project.run(*nameless, "fashion", "data").stdout
    assert "validation passed" in project.run(*nameless, "fashion", "step", "validate").stdout


@pytest.mark.slow
@pytest.mark.parametrize("home", [(), ("HOME=/sys",)])
def test_a_user_id_without_an_account_runs_the_pipeline(
    project: Project, nameless: list[str], home: tuple[str, ...]
):
    project.change("train", "epochs", 1)
    project.change("gate", "accuracy_min", 0.1)

    result = project.run(*nameless, *home, "fashion", "run")

    assert "fashion-mnist version 1, champion" in result.stdout


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder of packages that bear our names."""
    for name in ("pipeline", "components"):
        (tmp_path / "foreign" / name).mkdir(parents=True)
        (tmp_path / "foreign" / name / "__init__.py").write_text("raise ImportError('foreign')")
    return tmp_path / "foreign"


def launch(code: Path, cwd: Path, python_path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Calls the command as its installed script does, found where an editable install points to."""
    script = (
        "import sys; sys.argv[0] = 'fashion'; sys.path.append(sys.argv.pop(1))\n"
        "from fashion_pipeline import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-P", "-c", script, str(code), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": python_path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_another_copy_of_the_project_is_refused_whose_code_it_is_not(project: Project, tmp_path: Path):
    """As after `cp -a P Q; cd Q; source .venv/bin/activate`."""
    other = tmp_path / "copied" / "below"
    other.mkdir(parents=True)
    for name in ("params.yaml", "fashion_pipeline.py"):
        (other.parent / name).touch()

    result = launch(project.root, other, "", "--help")

    assert result.returncode == 1
    assert str(project.root) in result.stderr
    assert f"source {other.parent}/.venv/bin/activate" in result.stderr


def test_packages_on_pythonpath_are_neither_ours_nor_the_locks(project: Project, foreign: Path):
    (foreign / "click.py").write_text("raise ImportError('foreign')")

    result = launch(project.root, foreign, str(foreign), "--help")

    assert result.returncode == 0, result.stderr
    assert "Trains, judges and registers" in result.stdout


def test_a_copy_on_pythonpath_runs_its_own_code(project: Project):
    code = project.root / "pipeline/cli/main.py"
    code.write_text(code.read_text().replace("Trains, judges and registers", "The copy trains"))

    result = launch(ROOT, project.root, ".", "--help")

    assert "The copy trains" in result.stdout, result.stderr


def test_the_images_command_runs_the_images_code(foreign: Path):
    (made,) = re.findall(r"printf '(.*?)'", " ".join(arguments_of("code", "RUN")))
    script = made.replace(r"\n", "\n").replace('"/app"', repr(str(ROOT)))

    result = subprocess.run(
        [sys.executable, "-P", "-c", script, "--help"],
        env=os.environ | {"PYTHONPATH": str(foreign)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "Trains, judges and registers" in result.stdout, result.stderr
