"""Training on the hardest images of each batch, which a small proxy network picks."""

from typing import Any

import keras
import tensorflow as tf

WIDTHS = (16, 32, 32)
"""Channels of the stages, all at a quarter of the image size: a sixteenth of the arithmetic of `resnet-s`."""


class HardestImages(keras.Model):  # type: ignore[misc]
    """Trains a network, in each step, on those images of the batch on which a proxy's losses are highest.

    The proxy is trained on the same images, by the same optimizer. The forward pass of a small network costs
    less than what is saved: the images of which nothing more is to be learnt (K. Jordan's airbench96_faster,
    2024, picks the harder half). Of several devices, each picks from its own share of the batch. Metrics of
    the training are those of the images picked; those of validation are of all images.

    Args:
        network: From images to logits. It is all that predictions are made by.
        proxy: The same, smaller.
        draws: Of this many images, one is picked.
    """

    def __init__(self, network: keras.Model, proxy: keras.Model, draws: int) -> None:
        super().__init__()
        self.network, self.proxy, self.draws = network, proxy, draws

    @property
    def losses(self) -> list[Any]:
        """The weight decay of the network alone, so that losses are those of a training without a proxy."""
        return list(self.network.losses)

    def call(self, images: Any, training: bool = False) -> Any:
        """Logits of the network."""
        return self.network(images, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Trains both on the hardest of a batch of images and one-hot labels."""
        images, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        losses = keras.losses.categorical_crossentropy(
            labels,
            self.proxy(images, training=True),
            from_logits=True,
            label_smoothing=self.loss.label_smoothing,
        )
        hardest = tf.math.top_k(losses, tf.maximum(1, tf.shape(losses)[0] // self.draws)).indices
        images, labels = tf.gather(images, hardest), tf.gather(labels, hardest)
        devices = tf.distribute.get_strategy().num_replicas_in_sync
        with tf.GradientTape() as tape:
            logits = self.network(images, training=True)
            loss = self.compute_loss(images, labels, logits, training=True)
            proxy_loss = self.loss(labels, self.proxy(images, training=True))
            both = loss + proxy_loss + sum(self.proxy.losses) / devices
        # each device's loss is its share of the whole
        self._loss_tracker.update_state(loss * devices, sample_weight=tf.shape(images)[0])
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(both, variables), variables)
        metrics: dict[str, Any] = self.compute_metrics(images, labels, logits)
        return metrics
