"""The command `fashion`, as a module of its own: it runs the code that lies beside it.

A user's PYTHONPATH may name another package `pipeline` or `components`, or other versions than the lock's.
DVC's copies of the project run their own code: `dvc.yaml` sets `PYTHONPATH=.`, and they have this file, too.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    """Runs `fashion` with this folder first on the path and nothing else of PYTHONPATH, in children too."""
    root = Path(__file__).resolve().parent
    named = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    foreign = {Path(folder).resolve() for folder in named if not Path(folder).is_relative_to(sys.prefix)}
    sys.path[:] = [str(root), *(folder for folder in sys.path if Path(folder).resolve() not in foreign)]
    os.environ["PYTHONPATH"] = str(root)
    from pipeline.cli import main as fashion

    fashion()


if __name__ == "__main__":
    main()
