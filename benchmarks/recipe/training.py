"""The training loop of a trial: by hand, because lookahead, proxy and small images do not fit into `fit`."""

import time
from typing import Any

import keras
import tensorflow as tf

from benchmarks.recipe.batches import shrink, with_cutmix
from benchmarks.recipe.network import build
from benchmarks.recipe.options import Options
from components.common.idx import Bytes
from components.train.batches import training_batches, without_autotuning
from components.train.optimizer import Muon, make_optimizer
from components.train.settings import Settings, Shape

CALL = 50
"""Steps of a call into TensorFlow."""


class Trainee:
    """A network with its optimizer."""

    def __init__(self, options: Options, network: keras.Model, settings: Settings, steps: int) -> None:
        self.network, self.options = network, options
        self.loss_of = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=options.smoothing, reduction="none"
        )
        self.variables = [v for v in network.trainable_variables if self._trained(v)]
        self.optimizer = make_optimizer(settings, steps)
        self.optimizer.build(self.variables)

    def _trained(self, variable: keras.Variable) -> bool:
        frozen = variable.name == "gamma" and self.options.scale == "frozen"
        return not frozen and not variable.path.startswith("whitening/kernel")

    def _rate(self, variable: keras.Variable, epoch: tf.Tensor) -> Any:
        """A factor of the learning rate."""
        if variable.path.startswith("whitening"):
            return tf.cast(epoch < self.options.front_epochs, tf.float32) * self.options.bias_rate
        return self.options.bias_rate if variable.name == "beta" else 1.0

    def losses(self, images: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """The loss of each image."""
        return self.loss_of(targets, self.network(images, training=True))

    def step(self, images: tf.Tensor, targets: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        """Trains on a batch; returns the loss."""
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self.losses(images, targets)) + sum(self.network.losses)
        gradients = tape.gradient(loss, self.variables)
        scaled = [g * self._rate(v, epoch) for g, v in zip(gradients, self.variables, strict=True)]
        self.optimizer.apply(scaled, self.variables)
        return loss


def train(options: Options, images: Bytes, labels: Bytes, shape: Shape) -> tuple[keras.Model, float, int]:
    """Trains; returns the network, the seconds it took, and the images that were seen."""
    drawn = options.batch * (2 if options.proxy else 1)
    steps_per_epoch = len(images) // drawn
    steps = round(options.epochs * steps_per_epoch)
    muon = options.optimizer == "muon"
    settings = Settings(
        epochs=int(options.epochs + 1),
        batch_size=drawn,
        optimizer=options.optimizer,
        learning_rate=options.rate / Muon.OTHER_RATE if muon else options.rate,
        schedule="triangular",
        warmup=0.2,
        momentum=options.momentum,
        flip=True,
        shift=options.shift,
        cutout=options.cutout,
        erase=options.erase,
    )
    batches = training_batches(
        images, labels, shape.classes, settings, first_epoch=0, steps=steps_per_epoch, seed=options.seed
    )
    iterator = iter(without_autotuning(with_cutmix(batches, options, steps)))
    main = Trainee(options, build(options, options.widths, images, shape), settings, steps)
    proxy = None
    if options.proxy:
        small_one = build(options, options.proxy, images, shape, int(options.proxy_stride))
        proxy = Trainee(options, small_one, settings, steps)
    weights = [v for v in main.network.variables if v.dtype == "float32"]
    slow = [tf.Variable(v.value) for v in weights]
    done = tf.Variable(0, dtype=tf.int64)

    def average(share: Any, replace: bool) -> None:
        for kept, weight in zip(slow, weights, strict=True):
            kept.assign(share * kept + (1 - share) * weight.value)
            if replace:
                weight.assign(kept)

    def one_step(small: bool) -> None:
        batch, targets = next(iterator)
        share = tf.cast(done, tf.float32) / steps
        if small:
            batch = shrink(batch)
        if proxy:
            hardest = tf.math.top_k(proxy.losses(batch, targets), options.batch, sorted=False).indices
            if options.proxy_from:
                hardest = tf.where(share < options.proxy_from, tf.range(options.batch), hardest)
            batch, targets = tf.gather(batch, hardest), tf.gather(targets, hardest)
            proxy.step(batch, targets, share * options.epochs)
        main.step(batch, targets, share * options.epochs)
        done.assign_add(1)
        if options.lookahead and done % options.lookahead == 0:
            average(0.95**options.lookahead * share**3, replace=True)
        if options.average:
            steps_done = tf.cast(done, tf.float32)
            average(tf.minimum(options.average, (1 + steps_done) / (10 + steps_done)), replace=False)

    @tf.function  # type: ignore[untyped-decorator]
    def many_steps(count: tf.Tensor, small: bool) -> None:
        for _ in tf.range(count):
            one_step(small)

    bar = keras.utils.Progbar(steps)
    started = time.perf_counter()
    while (at := int(done)) < steps:
        small = at < int(options.small * steps)
        end = int(options.small * steps) if small else steps
        many_steps(tf.constant(min(CALL, end - at)), small)
        bar.update(int(done))
    seconds = time.perf_counter() - started
    if options.average:
        for kept, weight in zip(slow, weights, strict=True):
            weight.assign(kept)
    return main.network, seconds, steps * drawn
