"""The image, as far as it can be judged without building it: what goes into it, and how it runs."""

import ast
import re
from pathlib import Path

import pytest
from pathspec import PathSpec

from pipeline import git
from pipeline.kubeflow.definition.image import IMAGE_FILES
from tests.support.project import ROOT

TARGETS = ("cpu", "gpu")
CODE = ("components", "pipeline")
LOCKS = ("requirements/cpu.txt", "requirements/gpu.txt", "requirements/uv.txt")


def is_sent(name: str) -> bool:
    """Whether .dockerignore lets a file into the build."""
    rules = PathSpec.from_lines("gitwildmatch", (ROOT / ".dockerignore").read_text().splitlines())
    return not rules.match_file(name)


def code_files() -> list[str]:
    """The project's code, templates included."""
    paths = (path for folder in CODE for path in (ROOT / folder).rglob("*"))
    return sorted(
        path.relative_to(ROOT).as_posix()
        for path in paths
        if path.is_file() and "__pycache__" not in path.parts
    )


def stages() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's stages by name, each a list of instruction and arguments; before the first, ''."""
    text = (ROOT / "infra/image/Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    found: dict[str, list[tuple[str, str]]] = {"": []}
    for line in filter(None, lines):
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            base, _, name = arguments.partition(" AS ")
            # A stage goes on from the one that it names.
            found[name] = [*found.get(base, [])] if base in found else []
        found[name if len(found) > 1 else ""].append((instruction, arguments))
    return found


def arguments_of(stage: str, instruction: str) -> list[str]:
    """What an instruction is given, in each of its uses in a stage or in those that it goes on from."""
    return [arguments for name, arguments in stages()[stage] if name == instruction]


def environment(stage: str) -> dict[str, str]:
    """What ENV sets in a stage."""
    return dict(re.findall(r"(\w+)=(\S*)", " ".join(arguments_of(stage, "ENV"))))


def test_all_code_is_sent() -> None:
    assert [name for name in code_files() if not is_sent(name)] == []
    assert all(is_sent(name) for name in ("pyproject.toml", *LOCKS))


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".git/config",
        ".dvc/config.local",
        ".venv/bin/python",
        "data/train-images-idx3-ubyte",
        "params.yaml",
        "data.dvc",
        "mlruns/mlflow.db",
        "outputs/train/model.keras",
        "tests/conftest.py",
        "benchmarks/steps.py",
        "infra/kubernetes/base/secret.yaml",
        "pipeline/.env",
        "pipeline/__pycache__/cli.cpython-311.pyc",
        "components/train/.weights.1a2b3c4d.partial",
        "components/.mypy_cache/3.11/cache.db",
    ],
)
def test_nothing_else_is_sent(name: str) -> None:
    assert not is_sent(name)


def test_rules_that_every_builder_reads_alike() -> None:
    """`!a/**/*.py` under an excluded `a` is honoured by Docker and not by older buildah."""
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert [rule for rule in rules if rule.startswith("!") and not re.fullmatch(r"![\w.-]+", rule)] == []


def test_code_imports_nothing_that_stays_outside() -> None:
    local = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    imported = set()
    for name in code_files():
        if name.endswith(".py"):
            for node in ast.walk(ast.parse((ROOT / name).read_bytes())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    assert node.level == 0
                    imported.add(str(node.module).split(".")[0])
    assert imported & local == set(CODE)
    assert imported >= {"click", "tensorflow"}


def test_copied_is_what_is_sent() -> None:
    copied = {
        source
        for stage in stages()
        for arguments in arguments_of(stage, "COPY")
        if not arguments.startswith("--from=")
        for source in arguments.split()[:-1]
    }
    assert copied == {*CODE, "pyproject.toml", *LOCKS}


def test_a_change_of_what_is_sent_asks_for_another_image() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert set(IMAGE_FILES) == {*sent, ".dockerignore", "infra/image/Dockerfile"}


@pytest.mark.parametrize(("built", "dirty"), [("0123abcd", "false"), ("0123abcd-dirty-89ef", "true")])
def test_a_run_in_the_image_names_the_commit_and_says_whether_it_differs(
    built: str, dirty: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(git, "CODE_ROOT", tmp_path)  # no repository, as in the image
    monkeypatch.setenv("FASHION_COMMIT", built)
    assert git.git_version() == {"mlflow.source.git.commit": "0123abcd", "git.dirty": dirty}


def test_no_commit_takes_its_name_from_another() -> None:
    """Without a file that differs, buildah 1.28 reuses ENV and LABEL of another commit with the same code."""
    assert ("RUN", 'echo "${COMMIT}" > /code/app/COMMIT') in stages()["code"]


def test_base_is_an_argument() -> None:
    assert arguments_of("", "ARG") == ["BASE=python:3.12-slim-bookworm"]
    names = list(stages())
    for name in names[1:]:
        for arguments in arguments_of(name, "FROM"):
            base, _, _ = arguments.partition(" AS ")
            assert base in {"${BASE}", "scratch", *names}
    assert ":latest" not in (ROOT / "infra/image/Dockerfile").read_text()


@pytest.mark.parametrize("target", TARGETS)
class TestTarget:
    def test_runs_as_a_numeric_user(self, target: str) -> None:
        """Kubernetes cannot see of a name that it is not root."""
        assert arguments_of(target, "USER")[-1] == "10001"

    def test_environment(self, target: str) -> None:
        assert (
            environment(target).items()
            >= {
                "PYTHONPATH": "/app",
                "HOME": "/tmp",
                "LOGNAME": "fashion",
                "PYTHONUNBUFFERED": "1",
                "PYTHONDONTWRITEBYTECODE": "1",
                "GIT_PYTHON_REFRESH": "quiet",
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "FASHION_COMMIT": "${COMMIT}",
            }.items()
        )
        assert environment(target)["PATH"].startswith("/opt/venv/bin:")
        assert ("NVIDIA_DRIVER_CAPABILITIES" in environment(target)) is (target == "gpu")

    def test_packages_are_those_of_the_lock(self, target: str) -> None:
        installs = [run for run in arguments_of(target, "RUN") if "pip install" in run]
        assert len(installs) == 1
        assert "--require-hashes" in installs[0]
        assert f"--extra {target} --constraints {target}.txt --build-constraints {target}.txt" in installs[0]

    def test_code_comes_after_the_packages(self, target: str) -> None:
        """So that a commit makes a new image in seconds."""
        steps = stages()[target]
        install = next(n for n, (name, arguments) in enumerate(steps) if name == "RUN" and "pip" in arguments)
        assert steps.index(("COPY", "--from=code /code /")) > install
        assert next(n for n, (_, arguments) in enumerate(steps) if "COMMIT" in arguments) > install

    def test_labels(self, target: str) -> None:
        labels = dict(re.findall(r'([\w.]+)="([^"]*)"', arguments_of(target, "LABEL")[0]))
        image = "org.opencontainers.image."
        assert labels == {
            f"{image}title": "fashion-pipeline",
            f"{image}licenses": "Apache-2.0",
            f"{image}revision": "${COMMIT}",
            f"{image}version": "${VERSION}",
            "fashion.python": "${PYTHON_VERSION}",
            "fashion.tensorflow": "${TENSORFLOW_VERSION}",
        }


def test_no_secret_stays_in_the_image() -> None:
    """What ARG, ENV and COPY name is in the image or its history for good; a mounted secret is not."""
    for name in stages():
        for instruction in ("ARG", "ENV", "COPY"):
            for arguments in arguments_of(name, instruction):
                assert not re.search(r"(?i)key|token|passw|secret|cert|\.pem|index", arguments)
        for run in arguments_of(name, "RUN"):
            assert ("pip install" in run) is ("--mount=type=secret,id=ca" in run)
