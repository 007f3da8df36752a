"""Each module of the sources has its test file at the same place below tests/, or a reason why not."""

from tests.support.project import ROOT

PARAMETERS = "tests/pipeline/test_params.py tests the sections together"
WITHOUT_TESTS: dict[str, str] = {
    "components/common/params.py": PARAMETERS,
    "components/common/rules.py": "tests/components/gate/test_step.py prints and judges rules",
    "components/evaluate/params.py": PARAMETERS,
    "components/evaluate/report.py": "tests/components/evaluate/test_step.py reads what it writes",
    "components/gate/params.py": PARAMETERS,
    "components/predict/params.py": PARAMETERS,
    "components/register/params.py": PARAMETERS,
    "components/registry/model.py": "tests/pipeline/registry/test_champion.py loads models by it",
    "components/registry/refusal.py": "tests/pipeline/cli/test_models.py asks a server that refuses",
    "components/registry/params.py": "test_comparison.py beside it applies them",
    "components/train/callbacks.py": "test_{step,state,fit}.py beside it stop and resume trainings",
    "components/train/settings.py": "tests/components/train/test_params.py overrides the settings",
    "components/validate/params.py": PARAMETERS,
    "pipeline/cli/bucket.py": "tests/pipeline/test_bucket.py runs the command",
    "pipeline/cli/data.py": "tests/pipeline/data run the commands",
    "pipeline/cli/zoo.py": "tests/components/train/test_zoo.py runs the commands",
    "pipeline/data/dvc_main.py": "tests/test_lock.py runs it",
    "pipeline/serving/model.py": "test_app.py beside it asks the server that runs it",
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
