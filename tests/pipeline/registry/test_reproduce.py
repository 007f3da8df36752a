"""What cannot be trained again; tests/pipeline/cli/test_reproduce.py trains."""

import shutil

import pytest
from mlflow import MlflowClient

from components.common.errors import PipelineError
from pipeline.project import Project as ProjectPaths
from pipeline.registry.reproduce import reproduce
from tests.support.project import MODEL, Project

pytestmark = pytest.mark.usefixtures("restored_environment")
COMMIT = "mlflow.source.git.commit"


def refusal(project: Project, version: int = 1) -> tuple[str, str]:
    """The message and the hint; nothing is left of the attempt."""
    with pytest.raises(PipelineError) as error:
        reproduce(ProjectPaths(project.root), version, lambda _: None)
    assert not list((project.root / "build").glob("*"))
    return str(error.value), error.value.hint


def test_refusals(served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(served.root.parent))
    assert refusal(served, 7)[0] == "fashion-mnist has no version 7, but 1"

    unknown = "0" * 40
    client.set_model_version_tag(MODEL, "1", COMMIT, unknown)
    message, hint = refusal(served)
    assert message == f"the commit {unknown} is not in the repository of {served.root}"
    assert "`git fetch --all`" in hint

    code = served.root / "components" / "train" / "fit.py"
    code.write_text(f"{code.read_text()}# another\n")
    served.git("commit", "--quiet", "--message", "another", "components")
    client.set_model_version_tag(MODEL, "1", COMMIT, served.git("rev-parse", "HEAD").strip())
    other = "version 1 was not trained by the training code of its commit"
    assert refusal(served)[0] == other
    client.set_model_version_tag(MODEL, "1", "git.dirty", "true")
    assert refusal(served)[0] == f"{other}, but with uncommitted changes"
    assert served.git("worktree", "list").count("\n") == 1

    shutil.rmtree(served.root / ".git")
    assert refusal(served)[0].startswith(f"{served.root} is in no git repository, but version 1 needs commit")
    client.delete_model_version_tag(MODEL, "1", COMMIT)
    assert refusal(served)[0] == "version 1 names no commit: it was trained outside of a git repository"


def test_a_run_without_its_record(served: Project, client: MlflowClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", client.tracking_uri)
    run_id = client.get_model_version(MODEL, "1").run_id
    client.delete_run(run_id)
    message, hint = refusal(served)
    assert message == f"the MLflow run {run_id} was deleted, which has the parameters of version 1"
    assert f"`mlflow runs restore --run-id {run_id}`" in hint

    client.set_model_version_tag(MODEL, "1", "run_id", client.create_run("0").info.run_id)
    assert "/train/training.json cannot be read: " in refusal(served)[0]
