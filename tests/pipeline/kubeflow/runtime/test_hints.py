"""Errors that a pod can raise have a hint for pods, where the hint for a machine does not fit there."""

import ast
import re
from collections.abc import Iterator

import pytest

from components.common import errors
from components.common.errors import PipelineError
from tests.support.project import ROOT

ON_A_MACHINE = re.compile(
    r"dvc repro|mlruns/|fashion (data(?! push)|step)\b|git checkout|same command|make (setup|run)\b|owner"
    r"|free some space|remove it|MLFLOW_TRACKING_URI|FASHION_STATE_URL|AWS_"
)
"""Words of hints that do not fit in a pod."""
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
"""Code that no pod runs, or whose errors only a pod raises."""
KINDS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, PipelineError)
}


def hints(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each hint in a module that has no `cluster_hint` beside it."""
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
    """The constants in an expression, joined."""
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
