"""Champion and challenger: which alias a version gets."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from components.common import idx
from components.common.errors import first_line
from components.common.files import content_key
from components.common.saved_model import predict
from components.common.tensorflow import import_tensorflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"


def assign_alias(
    client: MlflowClient,
    candidate: ModelVersion,
    evaluation: dict[str, Any],
    data: Path,
    batch_size: int,
) -> tuple[str, str]:
    """Sets the alias of a version, champion or challenger; returns it with the reason."""
    name, number = candidate.name, int(candidate.version)
    while True:
        champion = _aliases(client, name).get(CHAMPION)
        if champion == number:
            return CHAMPION, "it is the champion already"
        alias, reason = _compare(client, name, champion, evaluation, data, batch_size)
        # Measuring takes time, and the registry has no compare-and-set: check again right before setting it.
        if _aliases(client, name).get(CHAMPION) == champion:
            break
    client.set_registered_model_alias(name, alias, str(number))
    if alias == CHAMPION and _aliases(client, name).get(CHALLENGER) == number:
        client.delete_registered_model_alias(name, CHALLENGER)
    return alias, reason


def _aliases(client: MlflowClient, name: str) -> dict[str, int]:
    return {alias: int(v) for alias, v in client.get_registered_model(name).aliases.items()}


def _compare(
    client: MlflowClient,
    name: str,
    champion: int | None,
    evaluation: dict[str, Any],
    data: Path,
    batch_size: int,
) -> tuple[str, str]:
    """The alias of a version beside this champion, and the reason."""
    if champion is None:
        return CHAMPION, "there was no champion"
    holder = client.get_model_version(name, str(champion))
    if holder.tags.get("task") != content_key(evaluation["task"]):
        return CHALLENGER, (
            f"champion {champion} knows other classes or another image size: "
            "give this task a register.model_name of its own, or set the alias by hand"
        )
    ours, theirs = evaluation["metrics"]["accuracy"], _accuracy(client, holder, evaluation, data, batch_size)
    if theirs is None:
        return CHALLENGER, f"champion {champion} cannot be measured on this data; set the alias by hand"
    better = ours >= theirs
    sign = ">=" if better else "<"
    reason = f"accuracy {ours:.4f} {sign} {theirs:.4f} of champion {champion}, on the same data"
    return CHAMPION if better else CHALLENGER, reason


def _accuracy(
    client: MlflowClient,
    champion: ModelVersion,
    evaluation: dict[str, Any],
    data: Path,
    batch_size: int,
) -> float | None:
    """The champion's accuracy on this data: the recorded one if it was measured on it, else measured now."""
    if champion.tags.get("data_version") == evaluation["data_version"] and "test_accuracy" in champion.tags:
        return float(champion.tags["test_accuracy"])
    import_tensorflow()
    import mlflow

    images, labels = idx.read_split(data, "test")
    try:
        with TemporaryDirectory() as folder:
            uri = client.get_model_version_download_uri(champion.name, champion.version)
            path = mlflow.artifacts.download_artifacts(uri, dst_path=folder, tracking_uri=client.tracking_uri)
            model = mlflow.keras.load_model(path)
        predicted = predict(model, images, batch_size).argmax(axis=1)
    except Exception as error:  # whatever is wrong, it cannot be compared
        print(f"champion {champion.version} cannot be measured: {first_line(error)}")
        return None
    return float((predicted == labels).mean())
