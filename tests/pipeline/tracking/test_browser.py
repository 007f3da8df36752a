"""What a reviewer sees in the MLflow UI, in a real browser."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.ports import free_port, wait_for_http
from tests.support.project import NETWORK, Project

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BROWSER, reason="no Chromium here (Debian: apt install chromium)"),
]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that receives what `fashion ui` prints."""
    return tmp_path_factory.mktemp("ui") / "stdout"


@pytest.fixture(scope="module")
def ui(trained: Project, printed: Path) -> Iterator[str]:
    """The UI as `make ui` starts it."""
    port = free_port()
    with printed.open("wb") as output:
        process = subprocess.Popen(
            ["fashion", "ui", "--port", str(port)],
            cwd=trained.root,
            env=trained.environment,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        wait_for_http(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def page(ui: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(30_000)
        expect.set_options(timeout=30_000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def run(trained: Project) -> dict[str, str]:
    registration: dict[str, str] = trained.json("mlruns/registration-outcome.json")
    return registration


def test_a_browser_that_was_never_there_opens_the_view_of_training(page: Page, ui: str, printed: Path):
    address = printed.read_text().partition("MLflow UI: ")[2].split()[0]
    assert address.startswith(ui)
    browser = page.context.browser
    assert browser
    with browser.new_context() as fresh:
        opened = fresh.new_page()
        opened.goto(address)

        expect(opened.get_by_text("Runs", exact=True).first).to_be_visible()
        expect(opened.get_by_text("Judges", exact=True)).to_have_count(0)


def test_the_run_list_shows_the_run(page: Page, ui: str, trained: Project):
    key = trained.json("outputs/train/training.json")["run_key"]
    page.goto(f"{ui}/#/experiments/1/runs")

    expect(page.get_by_text(f"{NETWORK}-{key[:8]}").first).to_be_visible()


def test_a_run_shows_its_accuracy_its_data_and_its_parameters(
    page: Page, ui: str, run: dict[str, str], trained: Project
):
    page.goto(f"{ui}/#/experiments/1/runs/{run['run_id']}")

    expect(page.get_by_text("test_accuracy", exact=True).first).to_be_visible()
    expect(page.get_by_text("train.epochs").first).to_be_visible()
    digest = trained.json("outputs/train/training.json")["data_version"]
    expect(page.get_by_text(digest[:8]).first).to_be_visible()


def test_a_runs_charts_show_the_curves(page: Page, ui: str, run: dict[str, str]):
    page.goto(f"{ui}/#/experiments/1/runs/{run['run_id']}/model-metrics")

    expect(page.get_by_role("heading", name="accuracy", exact=True)).to_be_visible()
    expect(page.locator(".js-plotly-plot .scatterlayer .trace")).not_to_have_count(0)


def test_the_report_opens_among_the_artifacts(page: Page, ui: str, run: dict[str, str]):
    page.goto(f"{ui}/#/experiments/1/runs/{run['run_id']}/artifacts/evaluate/report.html")

    expect(page.frame_locator("iframe").get_by_text("Test accuracy").first).to_be_visible()


def test_the_registered_model_shows_its_alias(page: Page, ui: str, run: dict[str, str]):
    page.goto(f"{ui}/#/models/fashion-mnist")

    expect(page.get_by_text("champion").first).to_be_visible()
    expect(page.get_by_text("Version 1").first).to_be_visible()
