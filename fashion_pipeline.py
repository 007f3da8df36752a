"""The command `fashion`, as a module of its own: it runs the code that lies beside it.

A user's PYTHONPATH may name another package `pipeline` or `components`, or other versions than the lock's.
DVC's copies of the project run their own code: `dvc.yaml` sets `PYTHONPATH=.`, and they have this file, too.
"""

import os
import sys
from pathlib import Path


def main() -> None:
    """Runs `fashion` with this folder first on the path and nothing else of PYTHONPATH, in children too.

    In another copy of the project it refuses to: the copy's code is not this one.
    """
    root = Path(__file__).resolve().parent
    here = Path.cwd()
    project = next((folder for folder in (here, *here.parents) if (folder / "params.yaml").is_file()), root)
    if project != root and (project / "fashion_pipeline.py").is_file():  # an activated .venv that was copied
        sys.exit(
            f"error: this `fashion` runs the code of {root}, not of the project in {project}\n"
            f"what to do: `make setup` there, and then `source {project}/.venv/bin/activate`"
        )
    named = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    foreign = {Path(folder).resolve() for folder in named if not Path(folder).is_relative_to(sys.prefix)}
    sys.path[:] = [str(root), *(folder for folder in sys.path if Path(folder).resolve() not in foreign)]
    os.environ["PYTHONPATH"] = str(root)
    from pipeline.cli.main import main as fashion

    fashion()


if __name__ == "__main__":
    main()
