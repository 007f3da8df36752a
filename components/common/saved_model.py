"""A saved model: its identity, which is its weights (a `.keras` archive is not byte-stable), and its use."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import SUBMIT_ANEW, PipelineError

if TYPE_CHECKING:
    import keras

    from components.common.idx import Bytes, Probabilities


def weights_digest(model: keras.Model) -> str:
    """SHA-256 over dtype, shape and bytes of every weight, in the model's order."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(f"{weight.dtype.str}{weight.shape}".encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()


def load_model(path: Path, expected_digest: str) -> keras.Model:
    """Loads a saved model and checks that its weights are those that training recorded.

    Raises:
        PipelineError: The file is missing or damaged, or holds other weights.
    """
    import keras

    hint = "run `dvc repro`, which trains it again or takes it from the cache"
    if not path.exists():
        raise PipelineError(f"{path} is missing", hint, SUBMIT_ANEW)
    try:
        model = keras.models.load_model(path, compile=False)
    except (OSError, ValueError, KeyError) as error:
        raise PipelineError(f"{path} is not a Keras model: {error}", hint, SUBMIT_ANEW) from None
    found = weights_digest(model)
    if found != expected_digest:
        raise PipelineError(
            f"{path} holds the weights {found[:12]}, training made {expected_digest[:12]}", hint, SUBMIT_ANEW
        )
    return model


def predict(model: keras.Model, images: Bytes, batch_size: int) -> Probabilities:
    """Class probabilities, float32 `(n, classes)`, of raw images, uint8 `(n, height, width)`."""
    import tensorflow as tf

    call = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    return tf.concat([call(tf.constant(batch)) for batch in batches], axis=0).numpy()  # type: ignore[no-any-return]
