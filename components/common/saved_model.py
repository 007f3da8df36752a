"""A saved model: its file, its identity (which is its weights), and its predictions."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import SUBMIT_ANEW, PipelineError, first_line
from components.common.files import file_digest

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from components.common.idx import Bytes, Probabilities

AGAIN = "run `dvc repro`, which trains it again or takes it from the cache"


def weights_digest(model: keras.Model) -> str:
    """SHA-256 over dtype, shape and bytes of every weight, in the model's order."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(f"{weight.dtype.str}{weight.shape}".encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model as `.keras`, the same bytes each time.

    Keras writes the time of day into the archive and its metadata. Into the configuration it writes memory
    addresses, as ids of objects that layers share.
    """
    ids: dict[int, int] = {}

    def number(part: dict[str, Any]) -> dict[str, Any]:
        if "shared_object_id" in part:
            part["shared_object_id"] = ids.setdefault(part["shared_object_id"], len(ids))
        return part

    model.save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(contents["config.json"], object_hook=number)
    metadata = json.loads(contents["metadata.json"]) | {"date_saved": "1980-01-01@00:00:00"}
    contents |= {"config.json": json.dumps(config).encode(), "metadata.json": json.dumps(metadata).encode()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # dated 1980-01-01


def load_model(path: Path, expected_digest: str, file_sha256: str | None = None) -> keras.Model:
    """Loads a saved model and checks that its weights are those that training recorded.

    Args:
        path: A `.keras` file.
        expected_digest: Digest of its weights.
        file_sha256: SHA-256 of the file, where it is known.

    Raises:
        PipelineError: The file is missing, is another one, holds other weights, or cannot be loaded in
            Keras's safe mode.
    """
    check_file(path, file_sha256)  # before Keras reads it: a `.keras` file can hold code
    import keras

    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError) as error:
        raise PipelineError(f"{path} is not a Keras model: {first_line(error)}", AGAIN, SUBMIT_ANEW) from None
    found = weights_digest(model)
    if found != expected_digest:
        raise PipelineError(
            f"{path} holds the weights {found[:12]}, training made {expected_digest[:12]}",
            AGAIN,
            SUBMIT_ANEW,
        )
    return model


def check_file(path: Path, sha256: str | None) -> None:
    """Checks that a saved model is the file with this SHA-256; where it is None, that it exists.

    Raises:
        PipelineError: The file is missing, or is another one.
    """
    if not path.exists():
        raise PipelineError(f"{path} is missing", AGAIN, SUBMIT_ANEW)
    if sha256 and (found := file_digest(path, "sha256")) != sha256:
        raise PipelineError(
            f"{path} has the SHA-256 {found[:12]}…, training wrote {sha256[:12]}…", AGAIN, SUBMIT_ANEW
        )


def predict(model: keras.Model, images: Bytes, batch_size: int) -> Probabilities:
    """Class probabilities, float32 `(n, classes)`, of raw images, uint8 `(n, height, width)`."""
    return predict_batches(compiled(model), images, batch_size)


def compiled(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The model as a graph, which is traced at the first call."""
    import tensorflow as tf

    call: Callable[[tf.Tensor], tf.Tensor] = tf.function(
        lambda batch: model(batch, training=False), reduce_retracing=True
    )
    return call


def predict_batches(call: Callable[[tf.Tensor], tf.Tensor], images: Bytes, batch_size: int) -> Probabilities:
    """As `predict`, by what `compiled` has returned."""
    import tensorflow as tf

    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    return tf.concat([call(tf.constant(batch)) for batch in batches], axis=0).numpy()  # type: ignore[no-any-return]
