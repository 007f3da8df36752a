"""What a step says to do about a fault fits the place where it runs: a machine, or the pods of a cluster."""

import ast
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.common import errors
from components.common.errors import MLFLOW_SETTING, PipelineError, StorageError, counted
from pipeline.kubeflow.local.console import Tasks
from pipeline.kubeflow.local.runner import run_local
from pipeline.kubeflow.runtime import entrypoint as pod
from pipeline.kubeflow.runtime.entrypoint import status_kept
from pipeline.kubeflow.runtime.environment import LOCAL
from pipeline.kubeflow.runtime.step_parameters import code_version
from pipeline.kubeflow.runtime.step_status import read_statuses
from pipeline.tracking.server import check_server
from tests.support.ports import free_port
from tests.support.project import ROOT

ON_A_MACHINE = re.compile(
    r"dvc repro|mlruns/|fashion (data(?! push)|step)\b|git checkout|same command|make (setup|run)\b|owner"
    r"|free some space|remove it|MLFLOW_TRACKING_URI|FASHION_STATE_URL|AWS_"
)
"""What cannot be done, or not so, about a pod."""
NO_POD = (
    *(
        "components/ingest/sources.py",
        "components/ingest/step.py",
        "pipeline/bucket.py",
        "pipeline/params.py",
    ),
    *(f"pipeline/{name}/" for name in ("cli", "data", "doctor", "registry")),
    *(f"pipeline/kubeflow/{name}/" for name in ("client", "definition", "local")),
    "pipeline/kubeflow/runtime/step_status.py",
)
"""What no pod runs, or what only a pod can say."""
KINDS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, PipelineError)
}


def hints(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each hint in a module for which there is no other in a pod."""
    tree = ast.parse(source)
    named: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name):
                        named[name.id] = named.get(name.id, "") + text_of(node.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            given = dict(zip(("message", "hint", "cluster_hint"), node.args, strict=False))
            given |= {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            if "hint" in given and "cluster_hint" not in given:
                names = (name.id for name in ast.walk(given["hint"]) if isinstance(name, ast.Name))
                yield node.lineno, text_of(given["hint"]) + "".join(named.get(name, "") for name in names)


def text_of(node: ast.AST) -> str:
    """All that is text in an expression."""
    return "".join(str(part.value) for part in ast.walk(node) if isinstance(part, ast.Constant))


def test_every_hint_of_a_step_has_one_for_pods_where_it_needs_one() -> None:
    files = [file for folder in ("components", "pipeline") for file in (ROOT / folder).rglob("*.py")]
    found = {
        f"{name}:{line}": hint
        for name, file in ((str(file.relative_to(ROOT)), file) for file in files)
        if not name.startswith(NO_POD)
        for line, hint in hints(file.read_text(encoding="utf-8"))
        if ON_A_MACHINE.search(hint)
    }
    assert found == {}
    assert all((ROOT / name).exists() for name in NO_POD)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('raise DataError("x", "run `dvc repro`")', ["run `dvc repro`"]),
        ('_HINT = "`fashion data`"\nraise DataError("x", hint=_HINT)', ["`fashion data`"]),
        ('hint, a = "`dvc repro`", 1\nraise DataError("x", f"{hint} {a}")', [" `dvc repro`1`dvc repro`1"]),
        ('raise DataError("x", "run `dvc repro`", "submit")', []),
        ('raise DataError("x", "run `dvc repro`", cluster_hint="submit")', []),
    ],
)
def test_hints_are_found(source: str, expected: list[str]) -> None:
    assert [hint for _, hint in hints(source)] == expected


@pytest.mark.parametrize("local", [True, False], ids=["run-local", "pod"])
def test_mlflow_that_is_away(
    local: bool, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "namespace").write_text("team\n")
    monkeypatch.setattr(pod, "NAMESPACE", tmp_path / "namespace")
    if local:
        monkeypatch.setenv(LOCAL, "1")
    with pytest.raises(SystemExit), status_kept("train", code_version()):
        check_server(f"http://127.0.0.1:{free_port()}")
    hint = read_statuses(state, "run-1")["train"].hint
    assert ("mlruns/" in hint) == local
    assert (MLFLOW_SETTING in hint) == (not local)
    assert hint.endswith("(in the namespace team)") == (not local)


def test_run_local_gives_the_hints_of_a_machine(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (LOCAL, "MLFLOW_TRACKING_URI", "PYTHONPATH", "PATH"):  # what it sets is undone afterwards
        monkeypatch.setenv(name, os.environ.get(name, ""))
    for name in ("params.yaml", "data.dvc"):
        shutil.copy(ROOT / name, tmp_path / name)

    def execute(*_: object) -> tuple[bool, Tasks]:
        with pytest.raises(SystemExit), status_kept("ingest", code_version()):
            raise PipelineError("wrong", "mend it here", "mend it there")
        return False, Tasks()

    monkeypatch.setattr("pipeline.tracking.runs.Tracker", lambda *_: None)
    monkeypatch.setattr("pipeline.kubeflow.local.runner._execute", execute)
    result = run_local(tmp_path, ["remote=s3://bucket"])
    assert result.headline == "failed in ingest: wrong; what to do: mend it here"


def test_retry_repeats_the_hint_as_it_was(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod, "NAMESPACE", tmp_path / "namespace")
    (tmp_path / "namespace").write_text("team")
    for index in ("0", "1"):
        monkeypatch.setenv("KFP_RETRY_INDEX", index)
        with pytest.raises(SystemExit), status_kept("train", code_version()):
            raise PipelineError("wrong", "mend it here", "mend the ConfigMap fashion-config")
        note = read_statuses(state, "run-1")["train"]
        assert note.hint == "mend the ConfigMap fashion-config (in the namespace team)"


def test_hint_for_pods_is_the_other_where_there_is_none() -> None:
    assert StorageError("x", "mend it").cluster_hint == "mend it"
    assert StorageError("x").cluster_hint == ""


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 fields"), (1, "1 field"), (2, "2 fields"), (1234, "1,234 fields")]
)
def test_number_with_its_noun(number: int, expected: str) -> None:
    assert counted(number, "field") == expected
