"""Parts of the page that wait until the browser is idle, in one that never is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.views.browsing import IN_A_BROWSER, Open, settle
from tests.views.sections_page import open_sections  # noqa: F401

pytestmark = IN_A_BROWSER
DRAWN = "() => [...document.querySelectorAll('.sheet')].map(part => part.childElementCount > 0)"


@pytest.fixture
def busy(open_sections: Open) -> Any:  # noqa: F811
    page = open_sections().context.new_page()
    page.add_init_script("window.requestIdleCallback = () => 0")
    page.goto(page.context.pages[0].url)
    page.wait_for_selector("html[data-ready]")
    settle(page)
    assert page.evaluate("() => llmflame.boxes().length") > 0
    assert not any(page.evaluate(DRAWN)) and page.get_attribute("html", "data-whole") is None
    return page


def test_a_part_that_is_gone_to_is_there(busy: Any) -> None:
    busy.click("#nav [data-part=tables]")
    assert all(busy.evaluate(DRAWN))
    assert busy.evaluate("() => document.activeElement.id") == "tables-title"
    assert busy.locator("#tables-title").bounding_box()["y"] < busy.viewport_size["height"]


def test_paper_has_all_parts(busy: Any) -> None:
    busy.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert all(busy.evaluate(DRAWN))
