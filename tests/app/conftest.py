"""The app on a project with two versions, and a browser."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from components.common import idx
from tests.support.pictures import saved
from tests.support.ports import free_port, wait_for_http
from tests.support.project import MODEL, Project, environment_of

PHONE = {"width": 390, "height": 844}
SETTINGS = """
[server]
baseUrlPath = "elsewhere"
sslCertFile = "no-file.pem"
sslKeyFile = "no-file.pem"
"""
"""Of a user, for other apps: with them, this one would not be where it says."""
SECOND_VERSION = f"""
from pathlib import Path
from tempfile import TemporaryDirectory
from components.common.files import file_digest
from components.common.saved_model import save_model, weights_digest
from components.registry.model import load_version
from components.registry.registry import FILE_TAG, WEIGHTS_TAG
from pipeline.params import load
from pipeline.registry.versions import open_registry

registry = open_registry(Path.cwd(), "{MODEL}")
client, first = registry.client, registry.read().versions[1]
network = load_version(client, first, load(Path("params.yaml")).data.classes).network
network.set_weights([weights * 1.001 for weights in network.get_weights()])
experiment = client.create_experiment("second", artifact_location=str(Path("mlruns/second").absolute()))
run_id = client.create_run(experiment).info.run_id
logged = client.create_logged_model(experiment, name="model", source_run_id=run_id)
with TemporaryDirectory() as folder:
    file = Path(folder) / "data" / "model.keras"
    file.parent.mkdir()
    save_model(network, file)
    client.log_model_artifacts(logged.model_id, folder)
    own = {{WEIGHTS_TAG: weights_digest(network), FILE_TAG: file_digest(file, "sha256")}}
registry.create_version(f"models:/{{logged.model_id}}", run_id, logged.model_id, dict(first.tags) | own)
"""


@pytest.fixture(scope="package")
def copy(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the trained project with a second version, of other weights, which is no champion."""
    root = tmp_path_factory.mktemp("app") / "project"
    shutil.copytree(trained.root, root, ignore=shutil.ignore_patterns("__pycache__", "site"))
    project = Project(root, environment_of(root))
    project.run("python", "-c", SECOND_VERSION)
    (root / ".streamlit").mkdir()
    (root / ".streamlit" / "config.toml").write_text(SETTINGS)
    return project


@pytest.fixture(scope="package")
def app(copy: Project) -> Iterator[str]:
    """The app as `make app` starts it."""
    port = free_port()
    process = subprocess.Popen(
        ["fashion", "app", "--port", str(port)],
        cwd=copy.root,
        env=copy.environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for_http(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, with a camera that shows a test picture and needs no permission."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if not found:
        pytest.skip("no Chromium here (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
            ],
        )
        expect.set_options(timeout=60_000)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def page(browser: Browser, app: str) -> Iterator[Page]:
    """A page on a phone's screen. It fails if anything is asked of another server."""
    page = browser.new_page(viewport=PHONE)
    page.set_default_timeout(60_000)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    yield page
    own = (app, app.replace("http", "ws"), "data:", "blob:")
    assert [url for url in asked if not url.startswith(own)] == []


@pytest.fixture(scope="package")
def trouser(subset: Path) -> bytes:
    """A test image, large and dark on white, as PNG."""
    images, labels = idx.read_split(subset, "test")
    image = images[np.flatnonzero(labels == 1)[0]]
    return saved(Image.fromarray(255 - image).resize((280, 280), Image.Resampling.BICUBIC))
