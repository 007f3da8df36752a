"""`fashion zoo show`: tables and drawing of a model."""

import shutil

import pytest

from tests.support.project import Project


@pytest.mark.skipif(not shutil.which("dot"), reason="Graphviz is not installed")
def test_show_prints_the_layers_and_draws_the_network(project: Project):
    text = project.fashion("zoo", "show", "cnn-64-64-512").stdout

    (total,) = (line for line in text.splitlines() if line.split()[:1] == ["862,410"])
    assert float(total.split()[1]) == pytest.approx(11.4, abs=0.3)
    assert (project.root / "outputs/models/cnn-64-64-512.svg").read_text().count('<g id="node') == 10
    project.fashion("zoo", "show", "mlp-128-64", "--plot", "mlp.png")
    assert (project.root / "mlp.png").read_bytes().startswith(b"\x89PNG")


def test_without_graphviz_the_layers_are_printed_and_the_package_is_named(project: Project):
    fashion = shutil.which("fashion", path=project.environment["PATH"])
    assert fashion
    result = project.run(fashion, "zoo", "show", "mlp-128-64", code=1, environment={"PATH": "/nonexistent"})

    assert "109,386" in result.stdout
    assert "apt install graphviz" in result.stderr


def test_an_unknown_model_is_refused_before_anything_heavy(project: Project):
    result = project.fashion("zoo", "show", "cnn-23", code=2)

    assert "cnn-32" in result.stderr
