"""What of a machine decides a training's weights, beside its inputs."""

import os
import platform
from pathlib import Path
from typing import Any

from components.common.tensorflow import import_tensorflow

PROCESSOR = ("vendor_id", "cpu family", "model", "cache size", "CPU implementer", "CPU part")
"""Fields of /proc/cpuinfo, of x86-64 and of ARM, that choose between kernels or their block sizes."""
INSTRUCTIONS = ("amx", "asimd", "avx", "bf16", "fma", "i8mm", "sve")
"""Beginnings of the flags of vector instructions, of which a virtual machine may lack some."""
THREADS = "TF_NUM_INTRAOP_THREADS"


def this_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Processor, vector instructions, number of threads, and the GPUs that TensorFlow may use.

    Sums of floating-point numbers depend on their order, which each of these changes.
    """
    tensorflow = import_tensorflow()
    try:
        lines = cpuinfo.read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = f"{fields.get('flags', '')} {fields.get('Features', '')}".split()
    gpus = tensorflow.config.list_physical_devices("GPU")
    details = [tensorflow.config.experimental.get_device_details(gpu) for gpu in gpus]
    return {
        "processor": ", ".join(
            [platform.machine(), *(f"{name} {fields[name]}" for name in PROCESSOR if name in fields)]
        ),
        "instructions": sorted(flag for flag in flags if flag.startswith(INSTRUCTIONS)),
        "threads": thread_count(),
        "gpus": [str(detail.get("device_name", "unknown")) for detail in details],
    }


def thread_count() -> int:
    """The threads on which TensorFlow divides one operation: those asked for, or one for each core."""
    asked = os.environ.get(THREADS, "")
    return int(asked) if asked.isdecimal() and int(asked) else len(os.sched_getaffinity(0))


def machines_until_the_end(kept: list[dict[str, Any]], epochs_done: int, epochs: int) -> list[dict[str, Any]]:
    """The machines of all epochs of a training that goes on here, each with the first epoch made on it.

    Where this machine differs from the last one in the number of threads alone, the training goes on with
    as many as it had: they give the same weights on any number of cores.

    Args:
        kept: Those of the epochs that are done.
        epochs_done: How many these are.
        epochs: How many there will be.
    """
    here = this_machine()
    same = kept and all(kept[-1][name] == here[name] for name in here if name != "threads")
    if same or (kept and epochs_done == epochs):
        return kept
    return [*kept, {"first_epoch": epochs_done + 1} | here]
