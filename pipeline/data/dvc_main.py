"""DVC's command line as `fashion` runs it: without the advice on git and remotes."""

import logging
import sys
from typing import Any

from dvc.cli import main
from dvc.ui import ui

if __name__ == "__main__":
    logging.getLogger("dvc.repo.scm_context").setLevel(logging.WARNING)  # what to `git add`, auto staging
    write = ui.write

    def write_results(*objects: Any, **options: Any) -> None:
        """Leaves out "Use `dvc push` to send your updates to remote storage."."""
        if "`dvc push`" not in str(objects):
            write(*objects, **options)

    ui.write = write_results
    sys.exit(main(sys.argv[1:]))
