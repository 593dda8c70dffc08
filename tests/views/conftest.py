"""A browser, and pages opened in it: from a file, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.tree import Tree
from llmflame.views.page import PageData, render_page
from tests.views.browsing import CHROMIUM, Open
from tests.views.pages import watched_pages
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
    """Opens a tree's page."""
    with watched_pages(browser, tmp_path) as pages:

        def open_it(
            tree: Tree, fragment: str = "", title: str = "A run", width: int = 1440, **changes: object
        ) -> Any:
            data = PageData(title, {**summary(tree), **changes}, tree)
            return pages.open(render_page(data), fragment, width)

        yield open_it
