"""A copy of this project, on the subset, in a folder of its own."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
MODEL = "fashion-mnist"
"""Name of the registered model, and of the experiment."""
NETWORK = "cnn-32"
"""What is trained where any network will do."""
TRAIN_EACH, TEST_EACH = 200, 50
"""Images of each class in the subset: 2,000 to train on, 500 to test on."""
CODE = (
    "app",
    "components",
    "pipeline",
    "fashion_pipeline.py",
    "dvc.yaml",
    "params.yaml",
    "data.dvc",
    ".dvcignore",
    ".gitignore",
    ".dvc/config",
)
NOT_COPIED = shutil.ignore_patterns("__pycache__")


def subset_settings() -> dict[str, Any]:
    """The project's parameters, made fit for the subset: a small network, two epochs, a low gate."""
    settings: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
    settings["data"] |= {"train_images": 10 * TRAIN_EACH, "test_images": 10 * TEST_EACH}
    settings["validate"]["pixel_mean"]["tolerance"] = 0.03
    settings["validate"]["pixel_std"]["tolerance"] = 0.03
    settings["model"]["name"] = NETWORK
    settings["train"] |= {"epochs": 2, "batch_size": 64, "validation_images": 200}
    low = {
        "accuracy_min": 0.5,
        "worst_recall_min": 0.0,
        "model_megabytes_max": settings["gate"]["model_megabytes_max"],
        "max_regression": settings["gate"]["max_regression"],
        "require_significant": False,
    }
    settings["gate"] = (
        dict.fromkeys(settings["gate"]) | low
    )  # the small network need not reach the other bounds
    return settings


@dataclass(frozen=True)
class Project:
    """A copy of this project in a folder of its own."""

    root: Path
    environment: dict[str, str]

    def run(
        self, *command: str, code: int = 0, environment: dict[str, str] | None = None, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command there and checks its exit code."""
        result = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment | (environment or {}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == code, f"{command}: {result.returncode}\n{result.stdout}\n{result.stderr}"
        return result

    def fashion(self, *arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs `fashion`."""
        return self.run("fashion", *arguments, code=code, environment=environment)

    def reproduce(self) -> list[str]:
        """Runs `dvc repro` and returns the stages that had changed."""
        script = (
            "import json; from dvc.repo import Repo; "
            "print(json.dumps([s.name for s in Repo('.').reproduce() if s.is_import or s.cmd]))"
        )
        result = self.run(sys.executable, "-c", script)
        stages: list[str] = json.loads(result.stdout.strip().splitlines()[-1])
        return stages

    def json(self, path: str) -> Any:
        """Reads a JSON file of the project."""
        return json.loads((self.root / path).read_text())

    def change(self, section: str, name: str, value: Any) -> None:
        """Changes a parameter."""
        yaml = YAML()
        content = yaml.load(self.root / "params.yaml")
        content[section][name] = value
        yaml.dump(content, self.root / "params.yaml")

    def init_git(self) -> None:
        """Makes it a repository whose author DVC can name, on a machine where git has none yet."""
        self.run("git", "init", "--quiet")
        self.run("git", "config", "user.name", "somebody")
        self.run("git", "config", "user.email", "somebody@example.org")

    def git(self, *arguments: str) -> str:
        """Runs git."""
        return self.run("git", *arguments).stdout


def environment_of(root: Path) -> dict[str, str]:
    """What a project's commands see: its own code, and nothing of a repository around it."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": ".",
        "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "site"),
        "GIT_CEILING_DIRECTORIES": str(root.parent),
    }


def new_project(root: Path, subset: Path, git: bool = True) -> Project:
    """A project on the subset, nothing of it run yet."""
    root.mkdir(parents=True, exist_ok=True)
    for name in CODE:
        source, target = ROOT / name, root / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=NOT_COPIED)
        else:
            shutil.copy(source, target)
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    YAML().dump(subset_settings(), root / "params.yaml")
    project = Project(root, environment_of(root))
    if git:
        project.init_git()
    project.fashion("data", "adopt", str(subset))
    if git:
        project.git("add", "--all")
        project.git("commit", "--quiet", "--message", "start")
    return project


def without_store(trained: Project, root: Path) -> Project:
    """A copy of the trained project, whose store of runs got lost."""
    shutil.copytree(
        trained.root, root, ignore=shutil.ignore_patterns("__pycache__", "mlflow.db*", "artifacts", "site")
    )
    return Project(root, environment_of(root))
