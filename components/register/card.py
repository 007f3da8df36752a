"""The model card of a registered version: what the steps recorded of it, as Markdown and as HTML."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common import idx
from components.common.errors import SUBMIT_ANEW, PipelineError
from components.common.files import read_json, staged
from components.common.performance import read_performance
from components.common.predictions import read_predictions
from components.common.report import data_uri, render, render_markdown
from components.register.card_pictures import confused_images

if TYPE_CHECKING:
    from components.register.params import CardParams

PAIRS = 5
"""Confused pairs of classes that the card shows."""
DESCRIPTION_LENGTH = 1500
HERE = Path(__file__).parent


def write_card(
    folder: Path,
    *,
    data: Path,
    validated: Path,
    trained: Path,
    evaluated: Path,
    gate: dict[str, Any],
    params: CardParams,
    model_name: str,
    version: int,
    commit: str,
    uncommitted: bool,
    run_id: str,
) -> str:
    """Writes the model card of a version. The same inputs give the same bytes.

    Args:
        folder: Receives `card.html`, which needs no other file, `card.md`, and the pictures that this shows.
        data: Folder of the four IDX files.
        validated: Folder of the validate step.
        trained: Folder of the train step.
        evaluated: Folder of the evaluate step.
        gate: Content of `gate.json`.
        params: What the card says beside measurements.
        model_name: The registered model.
        version: Its version.
        commit: The commit of the code that trained it; empty if it was trained without git.
        uncommitted: Whether there were changes beside that commit.
        run_id: The version's MLflow run.

    Returns:
        The card in short, as description of the version: Markdown of at most 1,500 characters.

    Raises:
        PipelineError: A file of a step is missing or damaged.
        StorageError: The disk is full, or the folder cannot be written.
    """
    training = read_json(trained / "training.json", "train")
    evaluation = read_json(evaluated / "evaluation.json", "evaluate")
    digest = training["weights_digest"]
    try:
        pictures = {
            name: (evaluated / name).read_bytes()
            for name in ("training_curves.png", "reliability.png", "confusion_matrix.png")
        }
        predictions = read_predictions(evaluated / "predictions.csv", list(evaluation["classes"]))
    except FileNotFoundError as error:
        raise PipelineError(
            f"{error.filename} is missing", "run `fashion step evaluate`, or `dvc repro` for all", SUBMIT_ANEW
        ) from None
    images, _ = idx.read_split(data, "test")
    confusions = worst_confusions(evaluation)
    for pair in confusions:
        pictures[pair["picture"]] = confused_images(images, predictions, *pair["pair"])
    facts = {
        "name": model_name,
        "version": version,
        "commit": commit,
        "uncommitted": uncommitted,
        "run_id": run_id,
        "card": params,
        "validation": read_json(validated / "validation.json", "validate"),
        "training": training,
        "evaluation": evaluation,
        "gate": gate,
        "confusions": confusions,
        "train_cost": read_performance(trained, digest),
        "predict_cost": read_performance(evaluated, digest),
        "folder": folder.name,
    }
    with staged(folder) as stage:
        for name, picture in pictures.items():
            (stage / name).write_bytes(picture)
        text = render_markdown(HERE / "card.md.j2", **facts) + "\n"
        (stage / "card.md").write_text(text, encoding="utf-8")
        embedded = {name: data_uri(picture) for name, picture in pictures.items()}
        page = render(HERE / "card.html.j2", pictures=embedded, **facts) + "\n"
        (stage / "card.html").write_text(page, encoding="utf-8")
    return render_markdown(HERE / "description.md.j2", **facts)[:DESCRIPTION_LENGTH]


def worst_confusions(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """The pairs of a true and a predicted class with the most errors, the worst first."""
    classes = list(evaluation["classes"])
    errors = np.array(evaluation["confusion_matrix"])
    np.fill_diagonal(errors, 0)
    worst = np.argsort(-errors, axis=None, kind="stable")[:PAIRS]
    pairs = [(int(place) // len(classes), int(place) % len(classes)) for place in worst]
    return [
        {
            "pair": (actual, predicted),
            "actual": classes[actual],
            "predicted": classes[predicted],
            "errors": int(errors[actual, predicted]),
            "images": evaluation["classes"][classes[actual]]["images"],
            "picture": f"confusion-{place}.png",
        }
        for place, (actual, predicted) in enumerate(pairs, 1)
        if errors[actual, predicted]
    ]
