"""The machine that a measurement was made on, in a line."""

import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path

from components.common.tensorflow import import_tensorflow, tensorflow_version
from components.train.precision import resolve


def describe_machine() -> str:
    """Processor, memory, GPUs, operating system, Python and libraries, and what `auto` precision is."""
    import_tensorflow()
    import tensorflow as tf

    gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    found = re.search(r"^model name\s*: (.*)$", _text("/proc/cpuinfo"), re.MULTILINE)
    processor = found[1].strip() if found else platform.processor() or platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (
        f"{len(os.sched_getaffinity(0))} cores of {processor}, {memory:.0f} GB of memory, "
        f"{', '.join(gpu.get('device_name', 'a GPU') for gpu in gpus) or 'no GPU'}, "
        f"{platform.system()}, Python {platform.python_version()}, TensorFlow {tensorflow_version()}, "
        f"Keras {version('keras')}; `precision: auto` is {resolve('auto')}"
    )


def product_gigaflops(precision: str, seconds: float = 2.0) -> float:
    """10^9 multiplications and additions a second of a product of two 2048x2048 matrices, for the best 10."""
    import_tensorflow()
    import tensorflow as tf

    size, products, best = 2048, 10, float("inf")
    matrix = tf.random.stateless_normal((size, size), [1, 2], dtype=getattr(tf, precision))
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        for _ in range(products):
            product = tf.matmul(matrix, matrix)
        product[0, 0].numpy()
        best = min(best, time.perf_counter() - started)
    return products * 2 * size**3 / best / 1e9


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
