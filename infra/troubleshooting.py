"""Writes the list of errors in docs/troubleshooting.md from the code: `make docs`.

The code is parsed, not run. Each call of `PipelineError` or of one of its subclasses gives a row. What only
a run knows is a placeholder: the name of a variable in capitals, or `…`; text that a run may leave out is in
brackets.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from components.common import errors
from components.common.errors import ExitCode

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "troubleshooting.md"
MARKER = "<!-- `make docs` writes everything below this line. -->\n"
MEANINGS = {
    ExitCode.FAILED: "Something is missing or does not fit together, or a step or a run failed.",
    ExitCode.PARAMETERS: "A name, type or range in `params.yaml` or on the command line is wrong.",
    ExitCode.DATA: "A data file is missing, damaged or not what `data.dvc` describes.",
    ExitCode.VALIDATION: "The data broke a critical expectation, or is not the data that was validated.",
    ExitCode.TRAINING: "Training cannot go on with these settings.",
    ExitCode.TRACKING: "MLflow cannot be reached, or refused a call.",
    ExitCode.STORAGE: "The disk is full, a path cannot be written, or S3 refuses or cannot be reached.",
    ExitCode.CLUSTER: "Kubeflow Pipelines or the cluster cannot be reached, or refused a call.",
    ExitCode.SKIPPED: "Some of the pictures could not be read; the others were predicted.",
    ExitCode.INTERRUPTED: "You pressed Ctrl-C.",
}
ARGUMENTS = ("message", "hint", "cluster_hint")
Names = dict[str, ast.AST]


class Module:
    """A module's code, the values of its names, and the modules that it imports names from."""

    def __init__(self, code: str) -> None:
        self.tree = ast.parse(code)
        functions = {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}
        self.names: Names = dict(assignments(self.tree.body)) | functions
        imports = [node for node in ast.walk(self.tree) if isinstance(node, ast.ImportFrom)]
        self.origins = {name.name: node.module or "" for node in imports for name in node.names}


class Project:
    """The modules of a project by dotted name, and the exit code of each class of errors."""

    def __init__(self, root: Path) -> None:
        packages = (root / "components", root / "pipeline")
        files = sorted(file for package in packages for file in package.rglob("*.py"))
        self.modules = {
            ".".join(file.relative_to(root).with_suffix("").parts): Module(file.read_text(encoding="utf-8"))
            for file in [*files, root / "fashion_pipeline.py"]
        }
        self.exit_codes = {
            name: kind.exit_code
            for name, kind in vars(errors).items()
            if isinstance(kind, type) and issubclass(kind, errors.PipelineError)
        }
        for node in (part for module in self.modules.values() for part in ast.walk(module.tree)):
            match node:
                case ast.ClassDef(bases=[ast.Name(id=base)]) if base in self.exit_codes:
                    own = dict(assignments(node.body)).get("exit_code")
                    code = ExitCode[own.attr] if isinstance(own, ast.Attribute) else self.exit_codes[base]
                    self.exit_codes[node.name] = code

    def errors(self) -> Iterator[tuple[ExitCode, list[str]]]:
        """Exit code and texts (message, hint, hint on a cluster) of each error, in order of the modules."""
        for module in self.modules.values():
            scopes: dict[ast.Call, ast.AST] = {}
            for scope in ast.walk(module.tree):  # a function comes after the one around it
                if isinstance(scope, ast.Module | ast.FunctionDef):
                    scopes |= {node: scope for node in ast.walk(scope) if isinstance(node, ast.Call)}
            for call in sorted(scopes, key=lambda node: node.lineno):
                if isinstance(call.func, ast.Name) and call.func.id in self.exit_codes:
                    given = dict(zip(ARGUMENTS, call.args, strict=False))
                    given |= {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
                    for names in variants(call, scopes[call]):
                        texts = [self.text(given.get(part), module, names) for part in ARGUMENTS]
                        if re.search("[a-z:]", texts[0]):  # others repeat another error
                            yield self.exit_codes[call.func.id], texts

    def text(self, node: ast.AST | None, module: Module, names: Names) -> str:  # noqa: PLR0911, PLR0912
        """The text of an expression in a module; `names` are the local variables there."""

        def of(part: ast.AST | None) -> str:
            return self.text(part, module, names)

        match node:
            case None | ast.Constant(value=None):
                return ""
            case ast.Constant(value=value):
                return str(value)
            case ast.JoinedStr(values=values):
                return "".join(map(of, values))
            case ast.FormattedValue(value=value, conversion=conversion):
                return f"'{of(value)}'" if conversion == ord("r") else of(value)
            case ast.Name(id=name):
                return self.named(name, module, names)
            case ast.Attribute(value=ast.Name() | ast.Attribute(), attr=name):
                return name.upper()
            case ast.Subscript(value=ast.Name(id=name)) if isinstance(module.names.get(name), ast.Dict):
                return of(module.names[name])
            case ast.Dict(values=values):
                return "; or ".join(dict.fromkeys(map(of, values)))
            case (
                ast.Subscript(value=value, slice=ast.Slice())
                | ast.BinOp(left=value, op=ast.Div() | ast.Add(), right=ast.Constant(value=int() | float()))
                | ast.Call(func=ast.Name(id="redacted" | "str"), args=[value])
            ):
                return of(value)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return of(left) + of(right)
            case ast.BinOp(left=left, op=ast.Mult()):
                return f"[{of(left)}]"
            case ast.IfExp(body=body, orelse=orelse):
                texts = list(filter(None, map(of, (body, orelse))))
                return f"({' / '.join(texts)})" if len(texts) == 2 else f"[{texts[0]}]"
            case ast.BoolOp(op=ast.Or(), values=values):
                return "…" if "…" in map(of, values) else " or ".join(map(of, values))
            case ast.Call(func=ast.Name(id="counted"), args=[_, noun]):
                return f"N {of(noun)}s"
            case ast.Call(func=ast.Name(id="len")):
                return "N"
            case ast.Call(func=ast.Name(id=name)):
                found = self.named(name, module, {})
                return found if re.search("[a-z]", found) else "…"
        return "…"

    def named(self, name: str, module: Module, names: Names) -> str:
        """The text of a variable, a constant or a function's result, or its name in capitals."""
        origin = self.modules.get(module.origins.get(name, ""))
        if name not in names and origin:
            return self.named(name, origin, {})
        value: ast.AST | None = names.get(name, module.names.get(name))
        if isinstance(value, ast.FunctionDef):
            returned = [node.value for node in ast.walk(value) if isinstance(node, ast.Return)]
            value = returned[0] if len(returned) == 1 else None
        found = self.text(value, module, {key: names[key] for key in names.keys() - {name}})
        if isinstance(value, ast.Constant) or re.search("[a-z]", found):
            return found
        return "…" if name == "error" else name.strip("_").upper()


def assignments(block: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """The names that the statements of a block set, each with its value."""
    for statement in block:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = zip(targets, values, strict=True)
                yield from ((target.id, value) for target, value in pairs if isinstance(target, ast.Name))


def variants(call: ast.Call, scope: ast.AST) -> list[Names]:
    """The local variables of a call, once for each branch that gives its arguments other values."""
    fields = [value for node in ast.walk(scope) for _, value in ast.iter_fields(node)]
    blocks = [dict(assignments(value)) for value in fields if isinstance(value, list)]
    used = {node.id for node in ast.walk(call) if isinstance(node, ast.Name)}
    changing = {name for name in used if sum(name in block for block in blocks) > 1}
    common = {name: value for block in reversed(blocks) for name, value in block.items()}
    return [common | block for block in blocks[1:] if changing & block.keys()] or [common]


def tables(project: Project) -> str:
    """The errors, a table for each exit code."""
    rows: dict[ExitCode, list[str]] = {code: [] for code in MEANINGS}
    for code, (message, hint, cluster_hint) in project.errors():
        known = hint if re.search("[a-z]", hint) or not hint else "it is printed below the message"
        cells = (message, known, cluster_hint)
        row = " | ".join(re.sub(r"\s+", " ", cell).replace("|", r"\|").replace("<", "&lt;") for cell in cells)
        row = re.sub(r"(?<=[a-z])[A-Z_]{2,}", "…", row)  # a variable within a word
        rows[code] += [f"| {row} |\n"] * (f"| {row} |\n" not in rows[code])
    head = "| message | what to do | on a cluster, where it differs |\n|---|---|---|\n"
    return "".join(
        f"\n## Exit code {code.value}: {code.name.lower()}\n\n{meaning}\n\n{head}{''.join(rows[code])}"
        for code, meaning in MEANINGS.items()
    )


def document() -> str:
    """The document with its hand-written part as it is, and with the tables of today's code."""
    return DOCUMENT.read_text(encoding="utf-8").partition(MARKER)[0] + MARKER + tables(Project(ROOT))


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
