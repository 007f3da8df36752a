"""What README.md shows, run as it stands there."""

import csv
import json
import re
import sys

import numpy as np
import pytest

from tests.conftest import Server
from tests.project import ROOT, Project

SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
SQLITE, SERVER = '"sqlite:///mlruns/mlflow.db"', '"http://localhost:5000"'
RUN = """
import json, sys
for code in json.load(sys.stdin):
    names = {}
    exec(code, names)
    print(json.dumps(names["probabilities"].tolist()))
assert not {"components", "pipeline"} & sys.modules.keys()
"""


def test_snippet_that_uses_the_champion(trained: Project, mlflow_server: Server):
    """From the project's own store and from a server, with the predictions that evaluation wrote down."""
    (snippet,) = SNIPPETS
    assert SERVER in snippet
    from_server = snippet.replace(SQLITE, json.dumps(mlflow_server.url))
    assert from_server != snippet
    outside = Project(trained.root, trained.environment | {"PYTHONPATH": "", "PYTHONSAFEPATH": "1"})

    printed = outside.run(sys.executable, "-c", RUN, stdin=json.dumps([snippet, from_server])).stdout

    with (trained.root / "outputs/evaluate/predictions.csv").open() as file:
        wanted = [[float(p) for p in row[4:]] for row in list(csv.reader(file))[1:]]
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("[[")]
    assert len(lines) == 2
    for probabilities in lines:
        assert np.shape(probabilities) == (500, 10)
        assert probabilities == [pytest.approx(row, abs=1e-5) for row in wanted]
