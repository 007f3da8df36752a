"""What README.md shows, run as it stands there."""

import csv
import json
import re
import sys
from pathlib import Path

import numpy as np

from tests.support.mlflow_server import Server
from tests.support.project import ROOT, Project

SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
SQLITE, SERVER = '"sqlite:///mlruns/mlflow.db"', '"http://localhost:5000"'
RUN = """
import json, sys
import numpy as np
sys.modules["components"] = sys.modules["pipeline"] = None  # cannot be imported
for number, code in enumerate(json.load(sys.stdin)):
    names = {}
    exec(code, names)
    np.save(f"{sys.argv[1]}/{number}.npy", names["probabilities"])
"""


def test_snippet_that_uses_the_champion(trained: Project, mlflow_server: Server, tmp_path: Path):
    """From the project's own store and from a server, with the predictions that evaluation wrote down."""
    (snippet,) = SNIPPETS
    assert SERVER in snippet
    from_server = snippet.replace(SQLITE, json.dumps(mlflow_server.url))
    assert from_server != snippet
    outside = Project(trained.root, trained.environment | {"PYTHONPATH": ""})

    outside.run(sys.executable, "-c", RUN, str(tmp_path), stdin=json.dumps([snippet, from_server]))

    with (trained.root / "outputs/evaluate/predictions.csv").open() as file:
        wanted = [[float(p) for p in row[4:]] for row in list(csv.reader(file))[1:]]
    assert np.shape(wanted) == (500, 10)
    for number in range(2):
        np.testing.assert_allclose(np.load(tmp_path / f"{number}.npy"), wanted, atol=1e-5)
