"""A browser, and pages opened in it: from a file, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.tree import Tree
from llmflame.views.page import PageData, render_page
from tests.views.browsing import CHROMIUM, Open, settle
from tests.views.test_page_samples import summary


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a tree's page; afterwards nothing may have gone wrong in it, nor left it."""
    contexts: list[Any] = []
    complaints: list[str] = []
    requests: list[str] = []

    def open_it(
        tree: Tree, fragment: str = "", title: str = "A run", width: int = 1440, **changes: object
    ) -> Any:
        file = tmp_path / f"{len(contexts)}.html"
        file.write_text(render_page(PageData(title, {**summary(tree), **changes}, tree)), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri() + fragment)
        page.wait_for_selector("html[data-whole]")
        settle(page)
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith("file://") for url in requests)
    assert len(requests) == len(contexts)
