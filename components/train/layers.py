"""Layers that train faster than those of Keras, with the same weights."""

from typing import Any

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation by TensorFlow's fused kernel, on a CPU 3 to 4 times faster than that of Keras 3.

    Weights and their order are those of `keras.layers.BatchNormalization`, with which the network is saved.
    The moving variance is that of the unbiased estimate, as in Keras 2.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalises `(n, height, width, channels)`, in training by the statistics of the batch."""
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
