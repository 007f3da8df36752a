"""The files of an evaluation for people: predictions, pictures and report."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from components.common.idx import Bytes, Probabilities
from components.common.report import data_uri, figure, image_grid, png, render
from components.evaluate.calibration import Bin, reliability_diagram

MISTAKES = 24
PICTURES = {
    "confusion_matrix.png": "Confusion matrix: rows are the true classes, columns the predictions",
    "reliability.png": "Reliability diagram: accuracy against confidence; below it the images of each bin",
    "training_curves.png": "Training: loss and accuracy by epoch",
    "mistakes.png": "The most confident mistakes: prediction with its probability, and the true class",
}


def write_predictions(path: Path, probabilities: Probabilities, labels: Bytes, classes: list[str]) -> None:
    """Writes a row per test image: index, true and predicted class, confidence, all probabilities."""
    predicted = probabilities.argmax(axis=1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "actual", "predicted", "confidence", *(f"p({c})" for c in classes)])
        for i, row in enumerate(probabilities):
            names = classes[labels[i]], classes[predicted[i]]
            writer.writerow([i, *names, f"{row.max():.6f}", *(f"{p:.6f}" for p in row)])


def write_pictures(
    folder: Path,
    *,
    history: Path,
    details: dict[str, Any],
    bins: int,
    probabilities: Probabilities,
    images: Bytes,
    labels: Bytes,
    classes: list[str],
) -> None:
    """Draws confusion matrix, reliability diagram, training curves and the most confident mistakes."""
    drawings = {
        "confusion_matrix.png": _confusion_matrix(np.array(details["confusion_matrix"]), classes),
        "reliability.png": png(reliability_diagram([Bin(**each) for each in details["reliability"]], bins)),
        "training_curves.png": _training_curves(history),
        "mistakes.png": _mistakes(probabilities, images, labels, classes),
    }
    for name, drawing in drawings.items():
        (folder / name).write_bytes(drawing)


def write_report(folder: Path, evaluation: dict[str, Any]) -> None:
    """Writes `report.html` with the pictures that lie in `folder` embedded."""
    pictures = [(text, data_uri((folder / name).read_bytes())) for name, text in PICTURES.items()]
    page = render(
        Path(__file__).with_name("report.html.j2"),
        evaluation=evaluation,
        metrics=evaluation["metrics"],
        pictures=pictures,
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def _confusion_matrix(matrix: np.ndarray[Any, Any], classes: list[str]) -> bytes:
    size = 0.55 * len(classes) + 1.5
    drawing = figure(size, size)
    axes = drawing.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape):
        if matrix[row, column]:
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(
                column, row, f"{matrix[row, column]}", ha="center", va="center", color=color, fontsize=8
            )
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    return png(drawing)


def _training_curves(history: Path) -> bytes:
    with history.open(newline="", encoding="utf-8") as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    epochs = [row["epoch"] for row in rows]
    drawing = figure(9, 3.4)
    for place, name in enumerate(("loss", "accuracy")):
        axes = drawing.add_subplot(1, 2, place + 1)
        axes.plot(epochs, [row[name] for row in rows], "o-", label="training")
        axes.plot(epochs, [row[f"val_{name}"] for row in rows], "o-", label="validation")
        axes.set_xlabel("epoch")
        axes.set_title(name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return png(drawing)


def _mistakes(probabilities: Probabilities, images: Bytes, labels: Bytes, classes: list[str]) -> bytes:
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:MISTAKES]
    captions = [f"{classes[predicted[i]]} {confidence[i]:.0%}\nis {classes[labels[i]]} ({i})" for i in wrong]
    return image_grid(images[wrong], captions, columns=8, size=1.1)
