"""An experiment in a browser: bars, why there is none, rungs, where a row stops paying."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmflame.store.profile import read_profile
from llmflame.views.page import page_data, render_page
from tests.handmade_lab import handmade_lab
from tests.views.browsing import IN_A_BROWSER, Open
from tests.views.pages import watched_pages
from tests.views.sections_page import text

pytestmark = IN_A_BROWSER


@pytest.fixture
def open_lab(browser: Any, tmp_path: Path) -> Iterator[Open]:
    with watched_pages(browser, tmp_path) as pages:

        def open_it(fragment: str = "", width: int = 1440, scheme: str = "light", **how: Any) -> Any:
            path = handmade_lab(tmp_path / f"{pages.next_name}.llmflame", **how)
            return pages.open(
                render_page(page_data(read_profile(path))), fragment, width, color_scheme=scheme
            )

        yield open_it


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_rows_that_agree_are_bars_and_no_other(open_lab: Open, scheme: str) -> None:
    page = open_lab(scheme=scheme)
    names = page.locator("#lab .bar .name").all_text_contents()
    assert len(names) == 10 and not any(name.startswith(("wrong", "broken")) for name in names)
    assert page.locator("#lab .bar.v-faster").count() == 5 and page.locator("#lab .bar.v-slower").count() == 1
    assert page.locator("#lab .whisker").count() == 8
    assert text(page, "#lab .lab-lead").startswith(
        "static-cache+compile@1 is 2.45× as fast as the stock model"
    )


def test_what_failed_says_why_and_has_no_number(open_lab: Open) -> None:
    page = open_lab()
    told = page.locator("#lab .lab-out li").all_inner_texts()
    assert "wrong@1 disagrees: 7 of 10 tokens differ, from token 3 on" in told
    assert "impossible@1 skipped: needs a CUDA device" in told
    row = page.locator("#lab tbody tr", has_text="wrong@1").inner_text()
    assert "ms" not in row and "×" not in row


def test_where_a_row_stops_paying_is_drawn_and_said(open_lab: Open) -> None:
    page = open_lab()
    assert page.locator("#lab .line").count() == 3
    assert "int8 stops paying between batch 1 and 4." in text(page, "#lab .lab-chart:last-child figcaption")
    assert open_lab(batches=(1,)).locator("#lab .line").count() == 0


def test_a_ladder_shows_its_rungs(open_lab: Open) -> None:
    page = open_lab(batches=(1,), ladder=True)
    names = page.locator("#lab .bar .name").all_text_contents()
    assert names == ["stock", "static-cache", "static-cache+compile"]
    assert "The ladder" in text(page, "#lab figcaption")


def test_the_rows_come_first_and_without_profiles_alone(open_lab: Open) -> None:
    top = "id => document.getElementById(id).getBoundingClientRect().top"
    page = open_lab()
    assert page.evaluate(top, "lab") < page.evaluate(top, "graph")
    assert page.locator("#graph").is_visible()
    bare = open_lab(profiles=False)
    assert not bare.locator("#graph").is_visible() and bare.locator("#lab .bar").count() == 10


def test_on_a_phone_nothing_is_wider_than_the_screen(open_lab: Open) -> None:
    page = open_lab(width=390)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
