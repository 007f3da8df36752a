"""The properties of a machine that influence a training's weights."""

import os
import platform
from pathlib import Path
from typing import Any

from components.common.tensorflow import import_tensorflow

PROCESSOR = ("vendor_id", "cpu family", "model", "cache size", "CPU implementer", "CPU part")
"""Fields of /proc/cpuinfo (x86-64 and ARM) by which libraries choose kernels and block sizes."""
INSTRUCTIONS = ("amx", "asimd", "avx", "bf16", "fma", "i8mm", "sve")
"""Prefixes of the CPU flags of vector instructions; a virtual machine may lack some of them."""
THREADS = "TF_NUM_INTRAOP_THREADS"


def this_machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, Any]:
    """Processor, vector instructions, number of threads, and the GPUs that TensorFlow may use.

    Each of them changes the order in which floating-point numbers are added, and so the result.
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
    """The threads that TensorFlow uses for one operation: TF_NUM_INTRAOP_THREADS, or one for each core."""
    requested = os.environ.get(THREADS, "")
    return int(requested) if requested.isdecimal() and int(requested) else len(os.sched_getaffinity(0))


def machines_until_the_end(kept: list[dict[str, Any]], epochs_done: int, epochs: int) -> list[dict[str, Any]]:
    """The machines of all epochs if the training continues on this machine, each with its first epoch.

    A machine that differs from the last one in the number of threads alone is not added: the training then
    continues with the last one's number, which gives the same weights on any number of cores.

    Args:
        kept: The machines of the epochs that are done.
        epochs_done: The number of these epochs.
        epochs: The number of all epochs.
    """
    here = this_machine()
    same = kept and all(kept[-1][name] == here[name] for name in here if name != "threads")
    if same or (kept and epochs_done == epochs):
        return kept
    return [*kept, {"first_epoch": epochs_done + 1} | here]
