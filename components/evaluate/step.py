"""Evaluation of the saved model on the test set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common import idx
from components.common.files import data_version, read_json, staged, write_json
from components.common.performance import write_performance
from components.common.saved_model import compiled, load_model, predict_batches
from components.common.tensorflow import import_tensorflow

if TYPE_CHECKING:
    import keras

    from components.common.params import DataParams
    from components.evaluate.params import EvaluateParams

LATENCY_CALLS = 200


def evaluate(
    data: Path, trained: Path, out: Path, data_params: DataParams, params: EvaluateParams
) -> dict[str, float]:
    """Measures the saved model on the test set.

    Args:
        data: Folder of the four IDX files.
        trained: Folder of the train step: `model.keras`, `training.json`, `history.csv`.
        out: Folder that receives `metrics.json` (flat, for the gate), `evaluation.json` (identity,
            classes, confusion matrix, reliability), `predictions.csv`, four pictures, `report.html`, and
            `performance.json` (measured times, which differ from run to run).
        data_params: Shape and classes of the data.
        params: Batch size and bins of the calibration error.

    Returns:
        What `metrics.json` holds.

    Raises:
        PipelineError: The model is missing, damaged or not the one that training made.
        DataError: The test files are damaged, or have a label without a class.
    """
    training = read_json(trained / "training.json", "train")
    images, labels = idx.read_split(data, "test", len(data_params.classes))
    import_tensorflow()
    model = load_model(trained / "model.keras", training["weights_digest"], training["model_sha256"])
    probabilities, performance = predict_timed(model, images, params.batch_size)

    from components.evaluate.metrics import measure
    from components.evaluate.report import write_pictures, write_predictions, write_report

    metrics, details = measure(probabilities, labels, data_params.classes, params.calibration_bins)
    metrics |= {
        "model_megabytes": (trained / "model.keras").stat().st_size / 1e6,
        "model_parameters": model.count_params(),
    }
    evaluation = {
        "run_key": training["run_key"],
        "weights_digest": training["weights_digest"],
        "data_version": data_version(data),
        "images": len(labels),
        "task": {"image_size": list(images.shape[1:]), "classes": data_params.classes},
        "metrics": metrics,
        **details,
    }
    with staged(out) as stage:
        write_predictions(stage / "predictions.csv", probabilities, labels, data_params.classes)
        write_pictures(
            stage,
            history=trained / "history.csv",
            details=details,
            bins=params.calibration_bins,
            probabilities=probabilities,
            images=images,
            labels=labels,
            classes=data_params.classes,
        )
        write_report(stage, evaluation)
        write_performance(stage, training["weights_digest"], performance)
        write_json(stage / "evaluation.json", evaluation)
        write_json(stage / "metrics.json", metrics)
    return metrics


def predict_timed(
    model: keras.Model, images: idx.Bytes, batch_size: int
) -> tuple[idx.Probabilities, dict[str, Any]]:
    """Class probabilities, float32 `(n, classes)`, and what they took.

    That is the latency of one image (median and 95th percentile, ms), and the throughput of all in batches
    (images/s), both without the tracing of the graph.
    """
    import numpy as np
    import tensorflow as tf

    call = compiled(model)
    one = tf.constant(images[:1])
    times = []
    for _ in range(LATENCY_CALLS + 20):
        started = time.perf_counter()
        call(one).numpy()
        times.append(1000 * (time.perf_counter() - started))
    warm = times[20:]
    predict_batches(call, images[:batch_size], batch_size)
    started = time.perf_counter()
    probabilities = predict_batches(call, images, batch_size)
    seconds = time.perf_counter() - started
    return probabilities, {
        "latency_ms_median": round(float(np.median(warm)), 3),
        "latency_ms_p95": round(float(np.percentile(warm, 95)), 3),
        "throughput_images_per_second": round(len(images) / seconds, 1),
    }
