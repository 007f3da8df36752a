"""The reader of IDX files, on small files with random changes and on headers that lie."""

import json
import random
import resource
import struct
import sys
import time
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common import idx
from components.common.errors import DataError

SIZES = (0, 1, 2, 3, 28, 255, 256, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
MAGICS = (*idx.MAGIC.values(), 0, 0x0802, 0x0804, 0x0D03, 0x08FF)


def changed(draw: random.Random) -> bytes:
    """A small file of images or labels: whole, with other sizes in its header, with other bytes, or cut."""
    shape = [draw.randrange(4) for _ in range(draw.choice((1, 3)))]
    size = prod(shape)
    magic = 0x0800 | len(shape)
    for _ in range(draw.randrange(3)):
        if draw.random() < 0.2:
            magic = draw.choice(MAGICS)
        else:
            shape[draw.randrange(len(shape))] = draw.choice(SIZES)
    content = bytearray(struct.pack(f">I{len(shape)}I", magic, *shape) + draw.randbytes(size))
    for _ in range(draw.randrange(3)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    if draw.random() < 0.2:
        del content[draw.randrange(len(content)) :]
    return bytes(content)


def fuzz(inputs: int) -> dict[str, float]:
    """Reads so many files. Only a DataError, or the bytes of the file, are right."""
    draw = random.Random(1)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    right = read = 0
    started = time.monotonic()
    memory_disk = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with TemporaryDirectory(dir=memory_disk) as folder:
        path = Path(folder) / "file"
        for _ in range(inputs):
            content = changed(draw)
            path.write_bytes(content)
            try:
                array = idx.read(path, draw.choice(idx.KINDS))
            except DataError:
                right += 1
            except Exception as error:
                print(f"{content!r}: {error!r}", file=sys.stderr)
            else:
                read += 1
                right += content.endswith(array.tobytes())
    return {
        "inputs": inputs,
        "right": right,
        "read": read,
        "seconds": time.monotonic() - started,
        "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024,
    }


if __name__ == "__main__":
    print(json.dumps(fuzz(int(sys.argv[1]))))
