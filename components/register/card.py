"""The model card of a registered version: what the steps recorded of it, as Markdown and as HTML."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common import idx
from components.common.errors import SUBMIT_ANEW, PipelineError
from components.common.files import read_json, staged
from components.common.performance import read_performance
from components.common.report import data_uri, figure, image_grid, png, render, render_markdown

if TYPE_CHECKING:
    from components.register.params import CardParams

BINS = 10
"""Bins of confidence in the calibration plot."""
PAIRS, EXAMPLES = 5, 6
"""Confused pairs of classes, and test images shown of each."""
DESCRIPTION_LENGTH = 1500
HERE = Path(__file__).parent


def write_card(
    folder: Path,
    *,
    data: Path,
    validated: Path,
    trained: Path,
    evaluated: Path,
    gated: Path,
    params: CardParams,
    model_name: str,
    version: int,
    commit: str,
    run_id: str,
) -> str:
    """Writes the model card of a version. The same inputs give the same bytes.

    Args:
        folder: Receives `card.html`, which needs no other file, `card.md`, and the pictures that this shows.
        data: Folder of the four IDX files.
        validated: Folder of the validate step.
        trained: Folder of the train step.
        evaluated: Folder of the evaluate step.
        gated: Folder of the gate step.
        params: What the card says beside measurements.
        model_name: The registered model.
        version: Its version.
        commit: The commit of the code that trained it; empty if it was trained without git.
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
            name: (evaluated / name).read_bytes() for name in ("training_curves.png", "confusion_matrix.png")
        }
        predictions = _read_predictions(evaluated / "predictions.csv", list(evaluation["classes"]))
    except FileNotFoundError as error:
        raise PipelineError(
            f"{error.filename} is missing", "run `fashion step evaluate`, or `dvc repro` for all", SUBMIT_ANEW
        ) from None
    images, _ = idx.read_split(data, "test")
    confusions = worst_confusions(evaluation)
    for pair in confusions:
        pictures[pair["picture"]] = _examples(pair, images, *predictions)
    pictures["calibration.png"] = _calibration_plot(*predictions)
    facts = {
        "name": model_name,
        "version": version,
        "commit": commit,
        "run_id": run_id,
        "card": params,
        "validation": read_json(validated / "validation.json", "validate"),
        "training": training,
        "evaluation": evaluation,
        "gate": read_json(gated / "gate.json", "gate"),
        "classes": class_table(evaluation),
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


def class_table(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """The figures of each class, with the 95 % Wilson interval of its recall; None without test images."""
    return [
        {
            "name": name,
            "interval": _interval(evaluation["confusion_matrix"][row][row], figures["images"])
            if figures["images"]
            else None,
            **figures,
        }
        for row, (name, figures) in enumerate(evaluation["classes"].items())
    ]


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


def _read_predictions(path: Path, classes: list[str]) -> tuple[np.ndarray[Any, Any], ...]:
    """Numbers of the true and of the predicted class, and the confidence, of each test image."""
    numbers = {name: number for number, name in enumerate(classes)}
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return (
        np.array([numbers[row["actual"]] for row in rows]),
        np.array([numbers[row["predicted"]] for row in rows]),
        np.array([float(row["confidence"]) for row in rows]),
    )


def _examples(
    pair: dict[str, Any],
    images: idx.Bytes,
    actual: np.ndarray[Any, Any],
    predicted: np.ndarray[Any, Any],
    confidence: np.ndarray[Any, Any],
) -> bytes:
    """The most confident errors of a pair, with the image's number in the test set and the confidence."""
    wrong = np.flatnonzero((actual == pair["pair"][0]) & (predicted == pair["pair"][1]))
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:EXAMPLES]
    captions = [f"{i}: {confidence[i]:.0%}" for i in wrong]
    return image_grid(images[wrong], captions, columns=EXAMPLES)


def _calibration_plot(
    actual: np.ndarray[Any, Any], predicted: np.ndarray[Any, Any], confidence: np.ndarray[Any, Any]
) -> bytes:
    """Reliability diagram: accuracy against confidence, above the number of images in each bin."""
    right = actual == predicted
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)  # open below, as the error's
    used = [np.flatnonzero(place == number) for number in np.unique(place)]
    accuracy = np.array([right[rows].mean() for rows in used])
    intervals = np.array([_interval(int(right[rows].sum()), len(rows)) for rows in used])
    drawing = figure(6, 5)
    upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], "--", color="gray", label="perfect calibration")
    upper.errorbar(
        [confidence[rows].mean() for rows in used],
        accuracy,
        yerr=np.abs(intervals.T - accuracy),
        fmt="o-",
        capsize=3,
        label="this model, 95 % intervals",
    )
    upper.set_ylabel("accuracy")
    upper.set_ylim(-0.02, 1.02)
    upper.grid(alpha=0.3)
    upper.legend(frameon=False)
    counts = np.bincount(place, minlength=BINS)
    bars = lower.bar((np.arange(BINS) + 0.5) / BINS, counts, width=0.9 / BINS)
    lower.bar_label(bars, fmt="{:,.0f}", fontsize=7)
    lower.margins(y=0.25)
    lower.set_xlim(0, 1)
    lower.set_xlabel("confidence: the probability of the predicted class")
    lower.set_ylabel("test images")
    return png(drawing)


def _interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share."""
    from scipy.stats import binomtest

    interval = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
