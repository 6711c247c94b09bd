"""A browser, where there is one, and the run that it looks at."""

import json
import os
import pathlib
import shutil

import pytest
from PIL import Image

from hrnet_jax.models.variants import VARIANTS
from tests import tiny, tiny_landmarks
from tests.sharing import made_once

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# It is to fetch nothing by itself.
_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module", autouse=True)
def tiny_network():
    """Has the tiny network in the table of networks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, tiny.VARIANT_NAME, tiny.VARIANT)
        yield


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium that is installed here."""
    api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(_BROWSERS)} is installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page of the browser; `said` lists its errors, `asked` what it asked for."""
    page = browser.new_page(viewport={"width": 1180, "height": 1000})
    page.said, page.asked = [], []
    page.on(
        "console",
        lambda message: (
            page.said.append(message.text) if message.type == "error" else None
        ),
    )
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    page.close()


@pytest.fixture(scope="module")
def seen_run(tiny_network) -> pathlib.Path:
    """The run that the browser is shown, `$HRNET_JAX_PAGES_RUN` or the tiny one."""
    chosen = os.environ.get("HRNET_JAX_PAGES_RUN")
    return pathlib.Path(chosen).absolute() if chosen else tiny.finished_run()


@pytest.fixture(scope="module")
def seen_data(seen_run) -> pathlib.Path:
    """Folder of the data that it was trained on."""
    config = json.loads((seen_run / "config.json").read_text())
    return pathlib.Path(config["dataset"]["data_dir"])


@pytest.fixture(scope="session")
def screenshot():
    """Takes a picture of a page, if `$HRNET_JAX_SCREENSHOTS` names a folder for it."""
    folder = os.environ.get("HRNET_JAX_SCREENSHOTS")

    def take(page, name, height):
        if not folder:
            return
        path = pathlib.Path(folder) / name
        clip = {"x": 0, "y": 0, "width": 1180, "height": height}
        page.screenshot(path=path, clip=clip, full_page=True)
        with Image.open(path) as picture:
            small = picture.convert("RGB").resize(
                (900, round(900 * height / 1180)), Image.Resampling.LANCZOS
            )
        small.save(path, optimize=True)
        # For pages that are read: two hundred kilobytes at most.
        if path.stat().st_size > 190_000:
            small.quantize(256, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)

    return take


@pytest.fixture(scope="module")
def landmark_run(tiny_network) -> pathlib.Path:
    """Work directory of a few steps on generated faces."""

    def make(workdir):
        from hrnet_jax.training.train import train

        config = tiny_landmarks.get_config()
        config.dataset.data_dir = str(tiny_landmarks.data_dir())
        config.mesh.data = 1
        train(config, workdir)

    return made_once("pages-landmarks", make)
