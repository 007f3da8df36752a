"""The files of a small made-up run, as the steps write them before a registration, and its model card."""

import csv
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from components.common import idx
from components.common.files import read_json, write_json
from components.register.card import write_card
from components.register.params import CardParams

CARD = CardParams(
    intended_use="Sorts letters.",
    limits="Not for numbers.",
    data_source="https://example.org/letters",
    data_licence="MIT, somebody",
    data_faults="Two labels are wrong.",
)
ROWS = [
    (0, 0, 0.95),
    (0, 0, 0.91),
    (0, 0, 0.55),
    (0, 1, 0.6),
    (1, 1, 0.99),
    (1, 0, 0.5),
    (1, 0, 0.8),
    (1, 0, 0.7),
]
"""Number of the true and of the predicted class, and confidence, of each test image."""
IMAGES = np.arange(len(ROWS) * 20, dtype=np.uint8).reshape(len(ROWS), 4, 5)
RULES = [
    {"metric": "accuracy", "value": 0.5, "sign": ">=", "bound": 0.4, "passed": True, "reason": ""},
    {"metric": "macro_f1", "value": None, "sign": ">=", "bound": 0.4, "passed": False, "reason": "(missing)"},
    {"metric": "log_loss", "value": 1.25, "sign": "<=", "bound": None, "passed": True, "reason": ""},
]
COMPARISON = {
    "champion": {"version": 3, "weights_digest": "old", "data_version": "older.dir"},
    "error": "",
    "images": 8,
    "accuracy": 0.5,
    "champion_accuracy": 0.375,
    "difference": 0.125,
    "difference_low": -0.25,
    "difference_high": 0.5,
    "only_right": 2,
    "champion_only_right": 1,
    "mcnemar_p": 0.5,
    "recall_drop": 0.25,
    "recall_drop_class": "b",
    "rules": [RULES[0]],
    "beats": False,
    "old_data": {"data_version": "older.dir", "accuracy": 0.25, "champion_accuracy": 0.75},
}


def made_up_run(root: Path, classes: list[str], comparison: dict[str, Any] | None = None) -> dict[str, Path]:
    """The files of a run on eight test images: class 0 right 3 of 4 times, class 1 once of 4, no class 2."""
    steps = {
        "data": "data",
        "validated": "validate",
        "trained": "train",
        "evaluated": "evaluate",
        "gated": "gate",
    }
    folders = {argument: root / step for argument, step in steps.items()}
    for folder in folders.values():
        folder.mkdir(parents=True)
    idx.write(folders["data"] / idx.file_name("test", "images"), IMAGES)
    idx.write(folders["data"] / idx.file_name("test", "labels"), np.array([r[0] for r in ROWS], np.uint8))
    failed = {"table": "train", "name": "labels", "severity": "warning", "passed": False}
    validation = {
        "verdict": "passed",
        "warnings": 1,
        "images": {"train": 1000, "test": 8},
        "expectations": [failed | {"expected": "none", "observed": "2"}, {"passed": True}],
    }
    write_json(folders["validated"] / "validation.json", validation)
    training = {
        "weights_digest": "w",
        "params": {"model": {"name": "mlp"}, "train": {"epochs": 2, "validation_images": 100}},
        "libraries": {"keras": "3.1"},
        "machines": [{"first_epoch": 1, "processor": "x86_64", "threads": 2, "gpus": []}],
        "parameters": 12345,
        "megaflops": 0.5,
        "validation": {"accuracy": 0.75, "loss": 0.5},
        "calibration": {"temperature": 0.75, "log_loss": 0.5, "log_loss_before": 0.625},
    }
    write_json(folders["trained"] / "training.json", training)
    performance = {
        "weights_digest": "w",
        "train_seconds": 1234.5,
        "train_images_per_second": 800.4,
        "train_peak_memory_megabytes": 1160,
    }
    write_json(folders["trained"] / "performance.json", performance)
    evaluation = {
        "data_version": "d.dir",
        "images": 8,
        "task": {"image_size": [4, 5], "classes": classes},
        "metrics": {
            "accuracy": 0.5,
            "accuracy_lower": 0.2152,
            "accuracy_upper": 0.7848,
            "calibration_error": 0.125,
            "model_megabytes": 0.25,
        },
        "classes": {
            classes[0]: {
                "precision": 0.5,
                "recall": 0.75,
                "recall_interval": [0.3006, 0.9544],
                "f1": 0.6,
                "images": 4,
            },
            classes[1]: {
                "precision": 0.5,
                "recall": 0.25,
                "recall_interval": [0.0456, 0.6994],
                "f1": 1 / 3,
                "images": 4,
            },
            classes[2]: {"precision": 0.0, "recall": 0.0, "recall_interval": None, "f1": 0.0, "images": 0},
        },
        "confusion_matrix": [[3, 1, 0], [3, 1, 0], [0, 0, 0]],
    }
    write_json(folders["evaluated"] / "evaluation.json", evaluation)
    with (folders["evaluated"] / "predictions.csv").open("w", newline="") as file:
        rows = [[i, classes[a], classes[p], f"{c:.6f}"] for i, (a, p, c) in enumerate(ROWS)]
        csv.writer(file).writerows([["index", "actual", "predicted", "confidence"], *rows])
    for name in ("training_curves.png", "reliability.png", "confusion_matrix.png"):
        (folders["evaluated"] / name).write_bytes(name.encode())
    verdict = {"verdict": "passed", "rules": RULES, "comparison": comparison, "sentence": "passed, for now"}
    write_json(folders["gated"] / "gate.json", verdict)
    return folders


def card_of(folders: dict[str, Path], folder: Path, card: CardParams = CARD, commit: str = "c0ffee") -> str:
    """Writes its card, as version 7 of `letters`; returns the description."""
    files = {name: path for name, path in folders.items() if name != "gated"}
    return write_card(
        folder,
        **files,
        gate=read_json(folders["gated"] / "gate.json", "gate"),
        params=card,
        model_name="letters",
        version=7,
        commit=commit,
        uncommitted=False,
        run_id="r1",
    )


class Page(HTMLParser):
    """The elements of a page, its text, and the sources of its pictures."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data
