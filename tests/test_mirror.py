"""Each module of the sources has its test file at the same place below tests/, or a reason why not."""

from tests.support.project import ROOT

WITHOUT_TESTS: dict[str, str] = {
    "pipeline/cli/bucket.py": "tests/pipeline/test_bucket.py runs the command",
    "pipeline/cli/data.py": "tests/pipeline/data run the commands",
    "pipeline/cli/model.py": "tests/components/train/test_zoo.py runs the commands",
    "pipeline/kubeflow/runtime/environment.py": "names only, which tests/infra compares with the manifests",
}


def test_each_module_has_its_test_file_or_a_reason() -> None:
    modules = [
        path.relative_to(ROOT)
        for folder in ("components", "pipeline")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    ]
    untested = {
        str(module)
        for module in modules
        if not (ROOT / "tests" / module.parent / f"test_{module.name}").is_file()
    }
    assert untested == set(WITHOUT_TESTS)
