"""The model card: what it says of a small made-up run, and of a real one."""

import re
from pathlib import Path

import numpy as np
import pytest

from components.common.errors import PipelineError
from components.common.files import read_json, write_json
from components.register.card import worst_confusions
from pipeline import params
from tests.support.model_card import CARD, COMPARISON, Page, card_of, made_up_run
from tests.support.project import Project

CLASSES = ["a", "b", "c"]


def test_the_card_says_what_the_steps_recorded(tmp_path: Path):
    description = card_of(made_up_run(tmp_path, CLASSES), tmp_path / "card")

    lines = (tmp_path / "card" / "card.md").read_text().splitlines()
    for line in (
        "# letters, version 7",
        "| Network | mlp, 12,345 parameters |",
        "| Task | one of 3 classes for a gray image of 4x5 pixels |",
        "| Test accuracy | 50.00 %, 95 % interval 21.52 % to 78.48 %, 8 images |",
        "| Git commit | `c0ffee` |",
        "**Limits.** Not for numbers.",
        "| Known faults | Two labels are wrong. |",
        "| Images | 1,000 train, of which 100 for validation; 8 test |",
        "| Failed expectation | labels on train, warning: expected none, observed 2 |",
        "| epochs | 2 |",
        "| keras | 3.1 |",
        "| a | 4 | 75.00 | 30.06 to 95.44 | 50.00 | 60.00 |",
        "| b | 4 | 25.00 | 4.56 to 69.94 | 50.00 | 33.33 |",
        "| c | 0 | no images |  | 0.00 | 0.00 |",
        "1. b taken for a: 3 of 4 images (75.00 %).",
        "2. a taken for b: 1 of 4 images (25.00 %).",
        "| accuracy | 0.5 | >= 0.4 | passed |",
        "| macro_f1 | ? | >= 0.4 | rejected (missing) |",
        "| log_loss | 1.25 | only reported |  |",
        "There was no champion.",
        "| Training machine | x86_64; threads: 2; GPU: none |",
        "| Training time | 1,234.5 s, 800 images/s |",
        "| Peak main memory of training | 1,160 MB |",
        "| Latency and throughput | not recorded |",
        'model = mlflow.pyfunc.load_model("models:/letters/7")',
        "images = np.zeros((1, 4, 5), np.uint8)",
        "fashion reproduce 7",
        "git checkout c0ffee",
    ):
        assert line in lines, line
    assert description == (
        "**4x5 gray image → one of 3 classes**, by mlp. Sorts letters.\n\n"
        "- Test accuracy 50.00 %, 95 % interval 21.52 to 78.48 %, of 8 images\n"
        "- Data version `d.dir`\n"
        "- Gate: passed, for now\n"
        "- Model card: `card/card.html` and `card/card.md`"
    )


def test_both_forms_have_the_same_pictures_and_the_page_needs_no_file(tmp_path: Path):
    folders = made_up_run(tmp_path, CLASSES)
    card_of(folders, tmp_path / "card")

    text = (tmp_path / "card" / "card.md").read_text()
    shown = re.findall(r"\]\((.*?)\)", text)
    made = {path.name for path in (tmp_path / "card").iterdir()}
    assert made - {"card.md", "card.html"} == set(shown)
    assert shown[:2] == ["training_curves.png", "reliability.png"]
    assert shown[2:] == ["confusion-1.png", "confusion-2.png", "confusion_matrix.png"]
    page = Page(tmp_path / "card" / "card.html")
    assert len(page.sources) == len(shown)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path):
    folders = made_up_run(tmp_path, CLASSES, COMPARISON)

    descriptions = [card_of(folders, tmp_path / name / "card") for name in ("one", "two")]

    assert descriptions[0] == descriptions[1]
    for path in (tmp_path / "one" / "card").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / "card" / path.name).read_bytes(), path.name


def test_a_comparison_with_the_champion_is_a_table(tmp_path: Path):
    card_of(made_up_run(tmp_path, CLASSES, COMPARISON), tmp_path / "card")

    text = (tmp_path / "card" / "card.md").read_text()
    section = text.partition("## Comparison")[2].partition("## Cost")[0]
    assert section.splitlines()[2:] == [
        "The champion was version 3: weights `old`, data `older.dir`.",
        "Both classified the same 8 test images. This version",
        "**does not beat** the champion.",
        "",
        "| | this version | champion 3 |",
        "|---|---:|---:|",
        "| accuracy | 50.00 % | 37.50 % |",
        "| images that it alone classifies correctly | 2 | 1 |",
        "| accuracy on the champion's data `older.dir` | 25.00 % | 75.00 % |",
        "",
        "| | |",
        "|---|---|",
        "| Difference of accuracy | +12.50 percentage points |",
        "| 95 % interval (paired bootstrap) | -25.00 to +50.00 percentage points |",
        "| McNemar's test | p = 0.5 |",
        "| Largest drop of a class's recall | 25.00 percentage points, b |",
        "",
        "| rule | value | bound | verdict |",
        "|---|---:|---:|---|",
        "| accuracy | 0.5 | >= 0.4 | passed |",
        "",
        "",
    ]


def test_a_champion_that_cannot_be_compared_is_named_with_the_reason(tmp_path: Path):
    comparison = {"champion": COMPARISON["champion"], "error": "it has other classes"}
    card_of(made_up_run(tmp_path, CLASSES, comparison), tmp_path / "card")

    reason = "Not compared with version 3 (weights `old`,\ndata `older.dir`): it has other classes\n"
    assert reason in (tmp_path / "card" / "card.md").read_text()
    assert reason.replace("`", "") in Page(tmp_path / "card" / "card.html").text


def test_what_is_not_recorded_is_said_to_be_missing(tmp_path: Path):
    folders = made_up_run(tmp_path, CLASSES)
    (folders["trained"] / "performance.json").unlink()
    (folders["evaluated"] / "performance.json").write_text('{"weights_digest": "another"}')

    card_of(folders, tmp_path / "card", commit="")

    text = (tmp_path / "card" / "card.md").read_text()
    assert "| Training time and peak main memory | not recorded |\n" in text
    assert "| Latency and throughput | not recorded |\n" in text
    assert "| Git commit | not recorded |\n" in text
    assert "git checkout" not in text
    assert Page(tmp_path / "card" / "card.html").text.count("not recorded") == text.count("not recorded") == 3


def test_a_hostile_class_name_is_plain_text_in_both_forms(tmp_path: Path):
    names = ["a | b", "<script>alert(1)</script>", "$x^\n\n# [c](javascript:d)"]
    card = CARD.model_copy(update={"limits": "None.\n\n<img src=x onerror=e> | `x`"})
    card_of(made_up_run(tmp_path, names), tmp_path / "card", card)

    text = (tmp_path / "card" / "card.md").read_text()
    assert r"| a \| b | 4 | 75.00 | 30.06 to 95.44 | 50.00 | 60.00 |" in text.splitlines()
    assert "| &lt;script>alert(1)&lt;/script> | 4 | 25.00 |" in text
    assert r"| $x^ # \[c\](javascript:d) | 0 | no images |" in text
    assert r"**Limits.** None. &lt;img src=x onerror=e> \| \`x\`" in text.splitlines()
    assert not re.search(r"<[a-zA-Z/!?]", text)
    page = Page(tmp_path / "card" / "card.html")
    assert "script" not in page.tags
    assert page.tags.count("img") == 5
    assert page.tags.count("a") == 1  # the data's source
    assert "<script>alert(1)</script> taken for a | b" in page.text


def test_the_worst_confusions_are_the_five_largest_and_no_correct_ones():
    matrix = [[9, 2, 3, 0], [1, 9, 5, 0], [5, 0, 0, 1], [0, 0, 0, 9]]
    names = "wxyz"
    evaluation = {
        "classes": {name: {"images": sum(row)} for name, row in zip(names, matrix, strict=True)},
        "confusion_matrix": matrix,
    }

    worst = [(c["actual"], c["predicted"], c["errors"], c["images"]) for c in worst_confusions(evaluation)]

    assert worst == [
        ("x", "y", 5, 15),
        ("y", "w", 5, 6),
        ("w", "y", 3, 14),
        ("w", "x", 2, 14),
        ("x", "w", 1, 15),
    ]
    evaluation["confusion_matrix"] = np.diag([9, 9, 9, 9]).tolist()
    assert worst_confusions(evaluation) == []


def test_the_description_is_short_however_long_the_texts_are(tmp_path: Path):
    folders = made_up_run(tmp_path, CLASSES)
    gate = read_json(folders["gated"] / "gate.json", "gate")
    write_json(folders["gated"] / "gate.json", gate | {"sentence": "passed, " + "[" * 5000})
    card = CARD.model_copy(update={"intended_use": "many words " * 500})

    description = card_of(folders, tmp_path / "card", card)

    assert len(description) <= 1500
    assert description.startswith("**4x5 gray image → one of 3 classes**, by mlp. many words")


@pytest.mark.parametrize(
    "missing",
    [
        "evaluate/predictions.csv",
        "evaluate/confusion_matrix.png",
        "validate/validation.json",
        "gate/gate.json",
    ],
)
def test_a_missing_file_is_named_and_nothing_is_written(tmp_path: Path, missing: str):
    folders = made_up_run(tmp_path, CLASSES)
    (tmp_path / missing).unlink()

    with pytest.raises(PipelineError, match=f"{missing} is missing") as error:
        card_of(folders, tmp_path / "card")

    assert f"fashion step {missing.partition('/')[0]}" in error.value.hint
    assert not (tmp_path / "card").exists()


def test_the_card_of_a_trained_project(project: Project, tmp_path: Path):
    outputs = project.root / "outputs"
    folders = {
        "data": project.root / "data",
        "validated": outputs / "validate",
        "trained": outputs / "train",
        "evaluated": outputs / "evaluate",
        "gated": outputs / "gate",
    }
    settings = params.load(project.root / "params.yaml")

    description = card_of(folders, tmp_path / "card", settings.card)

    metrics = project.json("outputs/evaluate/metrics.json")
    training = project.json("outputs/train/training.json")
    performance = project.json("outputs/train/performance.json")
    text = (tmp_path / "card" / "card.md").read_text()
    assert f"- Test accuracy {100 * metrics['accuracy']:.2f} %, 95 % interval" in description
    assert training["data_version"] in description
    assert f"| Known faults | {settings.card.data_faults} |" in text
    assert f"| learning_rate | {training['params']['train']['learning_rate']} |" in text
    assert f"| Training time | {performance['train_seconds']:,} s, " in text
    for name, figures in project.json("outputs/evaluate/evaluation.json")["classes"].items():
        assert f"| {name} | 50 | {100 * figures['recall']:.2f} | " in text
    page = Page(tmp_path / "card" / "card.html")
    assert len(page.sources) == 8
    for rule in project.json("outputs/gate/gate.json")["rules"]:
        assert f"{rule['sign']} {rule['bound']}" in page.text
