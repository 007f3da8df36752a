"""`fashion predict` with the champion of a real project."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.common import idx
from components.common.errors import ExitCode
from pipeline.cli.predict import PredictionInterrupted, predict
from tests.support.pictures import images, loaded_model, png
from tests.support.project import Project


@pytest.fixture(scope="module")
def expected(trained: Project) -> list[dict[str, str]]:
    """What the evaluation said of the test images."""
    with (trained.root / "outputs/evaluate/predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_folder_is_predicted_and_what_is_no_picture_is_named(
    trained: Project, subset: Path, expected: list[dict[str, str]], tmp_path: Path
):
    images, _ = idx.read_split(subset, "test")
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    for number in range(20):
        (tmp_path / "pictures" / f"{number:02}.png").write_bytes(png(images[number]))
    (tmp_path / "pictures" / "more" / "cut.png").write_bytes(png(images[0])[:60])
    dates = tmp_path / "dates.csv"
    dates.write_text("file,date\n" + "".join(f"{n:02}.png,2026-0{1 + n // 10}-03\n" for n in range(20)))

    options = ("--show-input", str(tmp_path / "seen"), "--trend", str(tmp_path / "trend"), "--json")
    result = trained.fashion("predict", str(tmp_path / "pictures"), "--dates", str(dates), *options, code=10)

    answer = json.loads(result.stdout)
    facts = trained.json("outputs/evaluate/metrics.json")
    assert answer["model"]["version"] == 1
    assert answer["model"]["accuracy"] == pytest.approx(facts["accuracy"], abs=1e-4)
    assert [row["class"] for row in answer["predictions"]] == [row["predicted"] for row in expected[:20]]
    assert [row["probability"] for row in answer["predictions"]] == pytest.approx(
        [float(row["confidence"]) for row in expected[:20]], abs=1e-3
    )
    assert [len(row["top"]) for row in answer["predictions"]] == [3] * 20
    (skipped,) = answer["skipped"]
    assert skipped["file"] == str(tmp_path / "pictures" / "more" / "cut.png")
    assert skipped["error"].startswith("damaged")
    assert answer["trend"]["periods"] == ["2026-01", "2026-02"]
    assert sum(map(sum, answer["trend"]["pictures"])) == 20
    assert "error: 1 of 21 pictures skipped" in result.stderr
    assert len((tmp_path / "trend" / "trend.csv").read_text().splitlines()) >= 21
    assert len(list((tmp_path / "seen").iterdir())) == 20
    with Image.open(tmp_path / "seen" / "0020-19.png") as seen:
        np.testing.assert_array_equal(np.asarray(seen), images[19])


def test_a_picture_into_a_file_of_rows(
    trained: Project, subset: Path, expected: list[dict[str, str]], tmp_path: Path
):
    images, _ = idx.read_split(subset, "test")
    (tmp_path / "a.png").write_bytes(png(images[0]))

    result = trained.fashion(
        "predict", str(tmp_path / "a.png"), "--version", "1", "--csv", str(tmp_path / "a.csv")
    )

    with (tmp_path / "a.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["file"], row["class"]) == (str(tmp_path / "a.png"), expected[0]["predicted"])
    assert float(row["probability"]) == pytest.approx(float(expected[0]["confidence"]), abs=1e-3)
    assert "model: fashion-mnist version 1, test accuracy" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("lost.png",), ExitCode.USAGE),
        (("params.yaml", "--json", "--csv", "-"), ExitCode.USAGE),
        ((), ExitCode.USAGE),
        (("components", "--trend", "components/trend"), ExitCode.USAGE),
        (("components", "--to", "components/a.parquet"), ExitCode.USAGE),
        (("params.yaml", "--csv", "params.yaml"), ExitCode.USAGE),
        (("components", "--dates", "data.dvc"), ExitCode.DATA),
    ],
)
def test_a_wrong_command_line_is_refused_at_once(trained: Project, arguments: tuple[str, ...], code: int):
    assert trained.fashion("predict", *arguments, code=code).stdout == ""


def test_after_an_interruption_nothing_is_promised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a.png").write_bytes(png(images(1)[0]))
    monkeypatch.setattr("pipeline.registry.champion.load_champion", lambda *_: loaded_model())
    monkeypatch.setattr("pipeline.cli.predict.to_row", interrupt)

    with pytest.raises(PredictionInterrupted) as raised:
        predict.main([str(tmp_path)], standalone_mode=False)

    assert (raised.value.exit_code, raised.value.hint) == (130, "the same command begins anew")
