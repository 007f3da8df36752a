"""Keras's `fit` against a hand-written training loop: images/s of the same network on the same batches.

And the share of the machine's arithmetic that training makes use of: three forward passes an image (two of
them for the gradients) beside a product of two large matrices. Both without a proxy.
"""

import time
from dataclasses import replace
from statistics import median

import click
from tabulate import tabulate

from benchmarks.machine import product_gigaflops
from benchmarks.trial import ROOT
from components.common import idx
from components.common.tensorflow import import_tensorflow
from components.train.zoo import MODELS, shape_of
from pipeline.cli.main import run_command
from pipeline.project import Project

CALLS, STEPS = 6, 50
"""Calls into TensorFlow that are timed, and steps of each."""


@click.command(help=__doc__)
@click.option("--model", default="resnet-s", show_default=True, type=click.Choice(list(MODELS)))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 100))
def main(model: str, rounds: int) -> None:
    """Times both in turn, and prints images/s and their ratio."""
    import_tensorflow()
    import keras
    import tensorflow as tf

    from components.train.batches import training_batches
    from components.train.layers import FusedBatchNormalization
    from components.train.network import megaflops
    from components.train.optimizer import make_optimizer
    from components.train.precision import resolve

    data = Project(ROOT).params().data
    enough = CALLS * STEPS  # epochs, whatever the size of the batches
    settings = replace(MODELS[model].settings, epochs=enough, proxy=0)
    classes = len(data.classes)
    images, labels = idx.read_split(ROOT / "data", "train", classes)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(1)
    precision = resolve(settings.precision)
    if precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    network = MODELS[model].build(shape_of(data, settings), FusedBatchNormalization)
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)

    def batches(calls: int) -> tf.data.Dataset:
        return training_batches(images, labels, classes, settings, first_epoch=0, steps=calls * STEPS, seed=1)

    optimizer = make_optimizer(settings, 10_000)
    optimizer.build(network.trainable_variables)

    @tf.function  # type: ignore[untyped-decorator]
    def many_steps(iterator: tf.data.Iterator) -> tf.Tensor:
        total = 0.0
        for _ in tf.range(STEPS):
            batch, one_hot = next(iterator)
            with tf.GradientTape() as tape:
                loss = loss_of(one_hot, network(batch, training=True)) + sum(network.losses)
            variables = network.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
            total += loss
        return total

    network.compile(
        make_optimizer(settings, 10_000), loss_of, metrics=["accuracy"], steps_per_execution=STEPS
    )

    def by_fit(calls: int) -> float:
        started = time.perf_counter()
        network.fit(batches(calls), steps_per_epoch=calls * STEPS, verbose=0, shuffle=False)
        return time.perf_counter() - started

    def by_loop(calls: int) -> float:
        started = time.perf_counter()
        iterator = iter(batches(calls))
        for _ in range(calls):
            many_steps(iterator).numpy()
        return time.perf_counter() - started

    by_fit(1), by_loop(1)  # traces both
    rows, products = [], []
    for number in range(1, rounds + 1):
        fit, loop = (CALLS * STEPS * settings.batch_size / way(CALLS) for way in (by_fit, by_loop))
        products.append(product_gigaflops(precision))
        rows.append((number, fit, loop, fit / loop))
    print(
        tabulate(
            rows, ("round", "fit, images/s", "loop, images/s", "ratio"), floatfmt=(".0f", ".0f", ".0f", ".3f")
        )
    )
    print(f"\n{model}: fit keeps {median(row[3] for row in rows):.1%} of the loop's images/s")
    training = median(row[1] for row in rows) * 3 * megaflops(network) / 1000
    product = median(products)
    print(
        f"fit makes {training:,.0f} GFLOP/s, {training / product:.0%} of the {product:,.0f} GFLOP/s of a "
        f"2048x2048 matrix product in {precision}"
    )


if __name__ == "__main__":
    run_command(main)
