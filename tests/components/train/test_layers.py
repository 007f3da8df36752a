"""The fast layers compute what Keras's own do."""

import numpy as np


def test_the_fused_batch_normalisation_is_keras_own():
    import keras
    import tensorflow as tf

    from components.train.layers import FusedBatchNormalization

    x = tf.random.stateless_normal([16, 7, 7, 8], [1, 2]) * 3 + 1
    fused, plain = FusedBatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)

    np.testing.assert_allclose(fused(x, training=True), plain(x, training=True), atol=1e-5)
    unbiased = 16 * 49 / (16 * 49 - 1)
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, atol=1e-6)
    np.testing.assert_allclose(
        fused.moving_variance - 0.9, (plain.moving_variance - 0.9) * unbiased, rtol=1e-5
    )
    plain.set_weights(fused.get_weights())
    np.testing.assert_allclose(fused(x, training=False), plain(x, training=False), atol=1e-5)
