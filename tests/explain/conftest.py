"""A real browser for the pages, without any network."""

import os
import shutil
from pathlib import Path

import pytest

from tests.helpers import ROOT

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, NAMES)]
    program = next((p for p in found if p), None)
    if program is None:
        pytest.skip(f"no Chromium: set CHROMIUM, or install one of {', '.join(NAMES)}")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Open HTML in a new window; at the end, no page may have failed or asked for anything."""
    contexts, troubles = [], []

    def open_html(html, fragment="", **settings):
        context = browser.new_context(offline=True, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: troubles.append(said.text))
        page.on("dialog", lambda dialog: troubles.append(f"dialog {dialog.message}"))
        path = tmp_path / f"page{len(contexts)}.html"
        path.write_text(html, encoding="utf-8")

        def on_request(request):
            if request.url.split("#")[0] not in (path.as_uri(), "about:srcdoc"):
                troubles.append(f"request {request.url}")

        page.on("request", on_request)
        page.goto(path.as_uri() + fragment)
        return page

    yield open_html
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture(scope="session")
def axe():
    """The text of axe-core, which audits pages for accessibility."""
    places = [os.environ.get("AXE_CORE"), Path(__file__).parent / "axe.min.js"]
    places += [ROOT / "node_modules" / "axe-core" / "axe.min.js"]
    for place in filter(None, places):
        if Path(place).is_file():
            return Path(place).read_text(encoding="utf-8")
    pytest.skip("no axe-core: set AXE_CORE to its axe.min.js, or npm install axe-core here")
