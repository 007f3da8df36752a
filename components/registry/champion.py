"""The second part of the gate: the comparison with the champion, both on the same test images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.common import idx
from components.common.errors import PipelineError, first_line
from components.common.files import content_key, read_json
from components.common.predictions import read_predictions
from components.common.rules import RuleVerdict, failures, verdict
from components.common.saved_model import load_model, predict
from components.common.tensorflow import import_tensorflow
from components.registry.comparison import compare, judge_comparison
from components.registry.predictions import predicted_by
from components.registry.registry import COMPARISON_TAG, DATA_TAG, TASK_TAG, WEIGHTS_TAG, Registry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from components.common.idx import Bytes
    from components.registry.params import ComparisonParams

REMEDY = (
    "`fashion promote VERSION --reason …` makes another version champion, "
    "`fashion rollback --reason …` the one before it"
)


@dataclass(frozen=True)
class Candidate:
    """A trained and evaluated model.

    Args:
        data: Folder of the four IDX files.
        trained: Output folder of the train step.
        evaluated: Output folder of the evaluate step.
        batch_size: Images per prediction when a model must be measured.
        fetch_data: Puts a data version into a folder, or raises.
    """

    data: Path
    trained: Path
    evaluated: Path
    batch_size: int
    fetch_data: Callable[[str, Path], None]

    def evaluation(self) -> dict[str, Any]:
        """The content of `evaluation.json`."""
        content: dict[str, Any] = read_json(self.evaluated / "evaluation.json", "evaluate")
        return content

    def predicted(self) -> Bytes:
        """The classes that the evaluation's predictions name, uint8 `(n,)`."""
        classes = self.evaluation()["task"]["classes"]
        return read_predictions(self.evaluated / "predictions.csv", classes).predicted


def compare_with_champion(
    candidate: Candidate, model_name: str, params: ComparisonParams
) -> dict[str, Any] | None:
    """Compares with the champion of a registered model; None if there is none.

    If the candidate is the champion itself, this is the comparison by which it became that.

    Returns:
        `champion` (version, weights digest, data version), the figures of `compare`, `rules` and `beats`; if
        the champion's data is other data, `old_data` with the accuracy of both on that. If they cannot be
        compared, `error` says why and what to do, there are no figures, and `beats` is false.

    Raises:
        TrackingError: The registry cannot be reached.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    now = Registry(client, model_name).read()
    if now.state.champion is None:
        return None
    champion, evaluation = now.versions[now.state.champion], candidate.evaluation()
    if champion.tags.get(WEIGHTS_TAG) != evaluation["weights_digest"]:
        return compare_with(client, candidate, champion, params)
    if champion.tags.get(DATA_TAG) != evaluation["data_version"]:
        return None  # what is recorded is of other images
    recorded: dict[str, Any] | None = json.loads(champion.tags.get(COMPARISON_TAG, "null"))
    return recorded


def compare_with(
    client: MlflowClient, candidate: Candidate, champion: ModelVersion, params: ComparisonParams
) -> dict[str, Any]:
    """Compares with a version; see `compare_with_champion`."""
    evaluation = candidate.evaluation()
    about = {
        "version": int(champion.version),
        WEIGHTS_TAG: champion.tags.get(WEIGHTS_TAG, ""),
        "data_version": champion.tags.get(DATA_TAG, ""),
    }
    classes = evaluation["task"]["classes"]
    try:
        if champion.tags.get(TASK_TAG) != content_key(evaluation["task"]):
            raise PipelineError(
                "it knows other classes or images of another size: give this task its own register.model_name"
            )
        _, labels = idx.read_split(candidate.data, "test", len(classes))
        theirs = predicted_by(client, champion, candidate.data, classes, candidate.batch_size)
        figures = compare(labels, theirs, candidate.predicted(), classes)
    except Exception as error:  # whatever is wrong: what cannot be compared is not better
        reason = f"{first_line(error)}; {REMEDY}"
        return {"champion": about, "error": reason, "rules": [], "beats": False, "old_data": None}
    rules = judge_comparison(figures, params)
    old_data = None
    if about["data_version"] != evaluation["data_version"]:
        old_data = _on_old_data(client, candidate, champion, classes)
    return {
        "champion": about,
        "error": "",
        **figures,
        "rules": [asdict(rule) for rule in rules],
        "beats": verdict(rules) == "passed",
        "old_data": old_data,
    }


def sentence(rules: Sequence[RuleVerdict], comparison: dict[str, Any] | None) -> str:
    """Both parts of the gate in a sentence: the one that every place shows."""
    if verdict(rules) != "passed":
        return f"rejected: {failures(rules)}"
    if comparison is None:
        return "passed; there is no other champion"
    champion = f"champion {comparison['champion']['version']}"
    if comparison["error"]:
        return f"passed, but cannot be compared with {champion}: {comparison['error']}"
    text = (
        "accuracy {accuracy:.4f} against {champion_accuracy:.4f} on the same {images:,} images "
        "(difference {difference:+.4f}, 95 % interval {difference_low:+.4f} to {difference_high:+.4f}, "
        "McNemar p {mcnemar_p:.2g})"
    ).format(**comparison)
    if old := comparison["old_data"]:
        text += (
            "; on the test images of the champion's data {data_version}: {accuracy:.4f} against "
            "{champion_accuracy:.4f}"
        ).format(**old)
    if comparison["beats"]:
        return f"passed, and beats {champion}: {text}"
    failed = failures([RuleVerdict(**rule) for rule in comparison["rules"]])
    return f"passed, but does not beat {champion}: {text}; {failed}"


def _on_old_data(
    client: MlflowClient, candidate: Candidate, champion: ModelVersion, classes: Sequence[str]
) -> dict[str, Any] | None:
    """The accuracy of both on the test images of the champion's data; None if that cannot be had."""
    of_data, training = champion.tags[DATA_TAG], read_json(candidate.trained / "training.json", "train")
    try:
        with TemporaryDirectory() as name:
            folder = Path(name)
            candidate.fetch_data(of_data, folder)
            images, labels = idx.read_split(folder, "test", len(classes))
            theirs = predicted_by(client, champion, folder, classes, candidate.batch_size)
            import_tensorflow()
            model = load_model(
                candidate.trained / "model.keras", training["weights_digest"], training["model_sha256"]
            )
            ours = predict(model, images, candidate.batch_size).argmax(axis=1)
    except Exception as error:  # the comparison on the new data decides
        print(f"the test images of {of_data} cannot be had: {first_line(error)}")
        return None
    return {
        "data_version": of_data,
        "accuracy": float((ours == labels).mean()),
        "champion_accuracy": float((theirs == labels).mean()),
    }
