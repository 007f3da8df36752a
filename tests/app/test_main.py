"""The app as people use it: a real server, a real browser, a real registry."""

import csv
import io
import zipfile

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.project import MODEL, Project

FIELD = '[data-testid="stFileUploader"] input[type="file"]'

pytestmark = pytest.mark.slow

NO_VERSIONS = f"""
from pathlib import Path
from pipeline.registry.versions import open_registry
registry = open_registry(Path.cwd(), "{MODEL}")
for version in registry.read().versions.values():
    registry.delete(version)
"""


def upload(page: Page, name: str, content: bytes) -> None:
    page.locator(FIELD).set_input_files({"name": name, "mimeType": "", "buffer": content})


def fits(page: Page) -> bool:
    """Whether nothing is wider than the screen."""
    wide: bool = page.evaluate(
        "document.documentElement.scrollWidth <= innerWidth && "
        "[...document.querySelectorAll('[data-testid=stMain]')].every(e => e.scrollWidth <= e.clientWidth)"
    )
    return wide


def test_an_uploaded_picture_is_named_and_explained(page: Page, app: str, trouser: bytes):
    page.goto(app)
    upload(page, "from the shop.png", trouser)

    expect(page.locator(".verdict")).to_have_text("Trouser")
    expect(page.get_by_alt_text("What the model sees")).to_be_visible()
    expect(page.get_by_alt_text("Where it looks")).to_be_visible()
    expect(page.locator(".row figcaption").first).to_contain_text("Trouser")
    expect(page.locator(".row figure")).to_have_count(10)
    expect(page.locator(".bars .number")).to_have_count(10)
    assert fits(page)


@pytest.mark.parametrize("content", [b"no picture", b"\xff\xd8\xff\xe0 a JPEG's first bytes", b""])
def test_a_broken_file_is_named_with_what_to_do(page: Page, app: str, content: bytes):
    page.goto(app)
    upload(page, "holiday.jpg", content)

    expect(page.get_by_role("alert")).to_contain_text("holiday.jpg: ")
    expect(page.get_by_role("alert")).to_contain_text("What to do: give a picture")
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_a_picture_is_pasted_by_keyboard(browser: Browser, app: str, trouser: bytes):
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        page = context.new_page()
        page.goto(app)
        expect(page.get_by_role("button", name="Paste")).to_be_visible()
        page.evaluate(
            """async bytes => navigator.clipboard.write([new ClipboardItem(
                {"image/png": new Blob([new Uint8Array(bytes)], {type: "image/png"})})])""",
            list(trouser),
        )

        page.keyboard.press("Control+V")
        expect(page.locator(".verdict")).to_have_text("Trouser")

        page.reload()
        page.get_by_role("button", name="Paste").press("Enter")
        expect(page.locator(".verdict")).to_have_text("Trouser")


def test_a_picture_is_taken_with_the_camera(page: Page, app: str):
    page.goto(app)
    page.get_by_role("radio", name="Camera").click()
    # Before the camera's first frame the button does nothing.
    page.wait_for_function(
        "() => document.querySelector('video')?.readyState === HTMLMediaElement.HAVE_ENOUGH_DATA"
    )
    page.get_by_role("button", name="Take photo").click()

    expect(page.locator(".verdict")).to_be_visible()
    expect(page.get_by_alt_text("What the model sees")).to_be_visible()


def test_a_test_image_is_chosen_by_keyboard_alone(page: Page, app: str):
    page.goto(app)
    page.get_by_role("radio", name="Upload or paste").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Number of the test image")).to_have_value("0")
    page.keyboard.press("Tab")
    page.keyboard.press("Control+A")
    page.keyboard.type("7")
    page.keyboard.press("Enter")

    expect(page.get_by_alt_text("Test image 7")).to_be_visible()
    expect(page.locator(".verdict + p")).to_contain_text("labelled")


def test_the_models_page_shows_the_mistakes_of_the_predictions_that_the_registry_keeps(
    page: Page, app: str, copy: Project
):
    matrix = np.array(copy.json("outputs/evaluate/evaluation.json")["confusion_matrix"])
    worst = int((matrix - np.diag(matrix.diagonal())).max())
    page.goto(f"{app}/model")

    cells = page.locator(".matrix tbody td").all_inner_texts
    expect(page.get_by_text("Intended use, limits")).to_be_visible()
    assert [int(text or 0) for text in cells()] == matrix.ravel().tolist()
    expect(page.get_by_text(f"{worst} of 500 test images")).to_be_visible()
    expect(page.locator(".grid figure")).to_have_count(min(48, worst))
    page.get_by_text("Intended use, limits").click()
    expect(page.get_by_alt_text("Loss and accuracy by epoch")).to_be_visible()
    assert fits(page)


def test_the_datas_page_counts_the_images(page: Page, app: str):
    page.goto(f"{app}/data")

    expect(page.locator(".grid figure")).to_have_count(40)
    assert page.locator(".bars .number").all_inner_texts() == ["200"] * 10 + ["50"] * 10
    assert fits(page)


def test_a_zip_file_of_pictures_becomes_a_trend(page: Page, app: str, trouser: bytes):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number, month in enumerate((1, 1, 3)):
            archive.writestr(zipfile.ZipInfo(f"{number}.png", (2026, month, 7, 0, 0, 0)), trouser)
        archive.writestr("notes.png", b"no picture")
    page.goto(f"{app}/trends")
    upload(page, "street.zip", file.getvalue())

    expect(page.get_by_role("heading", name="3 pictures")).to_be_visible()
    expect(page.locator(".bars .number").first).to_have_text("3 (100%)")
    expect(page.get_by_text("1 of 4 files could not be read")).to_be_visible()
    expect(page.get_by_role("heading", name="Over time")).to_be_visible()
    assert fits(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Predictions (CSV)").click()
    rows = list(csv.DictReader(download.value.path().open(newline="")))
    assert [row["file"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert {row["class"] for row in rows} == {"Trouser"}
    assert all(row["class_3"] for row in rows)


def test_a_zip_file_that_is_none_is_named(page: Page, app: str):
    page.goto(f"{app}/trends")
    upload(page, "street.zip", b"no zip file")

    expect(page.get_by_role("alert")).to_contain_text("1 of 1 files could not be read")
    expect(page.get_by_text("Which files, and why")).to_be_visible()


def test_another_champion_is_shown_without_a_restart_and_none_is_an_error(
    page: Page, app: str, copy: Project
):
    page.goto(app)
    expect(page.get_by_text(f"{MODEL}, version 1")).to_be_visible()

    copy.fashion("promote", "2", "--reason", "a test")
    expect(page.get_by_text(f"{MODEL}, version 2")).to_be_visible()

    copy.run("python", "-c", NO_VERSIONS)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text(f"{MODEL} has no champion")
    expect(page.get_by_role("alert")).to_contain_text("What to do: make run registers a model")
