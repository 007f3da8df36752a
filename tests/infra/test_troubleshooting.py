"""docs/troubleshooting.md lists the errors of the code as it is."""

from pathlib import Path

import pytest

from components.common.errors import ExitCode
from infra.troubleshooting import DOCUMENT, Project, document, tables

SHARED = (
    'MEND = "mend it"\n\n\ndef next_command(run_id: str) -> str:\n    return f"fashion runs wait {run_id}"\n'
)


def project(root: Path, code: str) -> Project:
    for name, content in {
        "components/shared.py": SHARED,
        "pipeline/code.py": f"from components.shared import MEND, next_command\n{code}",
        "fashion_pipeline.py": "",
    }.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(content)
    return Project(root)


def test_committed_list_is_that_of_the_code() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run `make docs`, and commit the file"


@pytest.mark.parametrize(
    ("code", "texts"),
    [
        ('raise DataError("x is wrong", "mend x", "submit")', ["x is wrong", "mend x", "submit"]),
        ('raise DataError(f"{path} is wrong", hint=MEND)', ["PATH is wrong", "mend it", ""]),
        ('raise DataError(f"{x!r}: {error}", next_command(a))', ["'X': …", "fashion runs wait RUN_ID", ""]),
        ('raise DataError("is wrong", "a" if b else "c")', ["is wrong", "(a / c)", ""]),
        ('raise DataError("is wrong" + (f"; {x}" if x else ""))', ["is wrong[; X]", "", ""]),
        ("raise DataError(f\"lacks {', '.join(x)}\")", ["lacks …", "", ""]),
        ('HINTS = {1: "a", 2: "b"}\nraise DataError("wrong", HINTS[x])', ["wrong", "a; or b", ""]),
    ],
)
def test_texts_of_an_error(code: str, texts: list[str], tmp_path: Path) -> None:
    assert list(project(tmp_path, code).errors()) == [(ExitCode.DATA, texts)]


def test_each_branch_is_a_row_of_its_own(tmp_path: Path) -> None:
    code = (
        "def fault(code):\n"
        '    hint = ""\n'
        "    if code == 1:\n"
        '        reason, hint = f"answers {code}", "wait"\n'
        "    else:\n"
        '        reason = "is away"\n'
        '    return StorageError(f"it {reason}", hint)\n'
    )
    assert list(project(tmp_path, code).errors()) == [
        (ExitCode.STORAGE, ["it answers CODE", "wait", ""]),
        (ExitCode.STORAGE, ["it is away", "", ""]),
    ]


def test_subclasses_have_the_exit_code_of_their_base_or_their_own(tmp_path: Path) -> None:
    code = (
        "class RefusedError(TrackingError):\n    pass\n\n\n"
        "class StoppedError(RefusedError):\n    exit_code = ExitCode.INTERRUPTED\n\n\n"
        'RefusedError("refused")\nStoppedError("stopped")\n'
    )
    found = list(project(tmp_path, code).errors())
    assert found == [
        (ExitCode.TRACKING, ["refused", "", ""]),
        (ExitCode.INTERRUPTED, ["stopped", "", ""]),
    ]


def test_cells_hold_no_markup(tmp_path: Path) -> None:
    text = tables(project(tmp_path, 'raise DataError("a | b\\n<c>", "mend")'))
    assert "| a \\| b &lt;c> | mend |  |\n" in text
