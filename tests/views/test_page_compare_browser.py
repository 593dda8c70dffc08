"""The page's part about another run in a browser, in both themes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.compare.comparison import Comparison, compare
from llmflame.store.profile import read_profile
from llmflame.views.page import PageData, page_compare, render_page
from tests.handmade_pair import pair, set_subject
from tests.views.browsing import IN_A_BROWSER, Open, address, press, settle, view, widths
from tests.views.pages import watched_pages
from tests.views.test_page_samples import llama, summary

pytestmark = IN_A_BROWSER

THEMES = ["light", "dark"]
HOSTILE = "<img src=x onerror=alert(1)>\u202e"
COLOURS = """() => {
    // How many pixels are clearly more red than blue ('more'), and how many the other way round ('less').
    const canvas = document.querySelector('#flame canvas');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let more = 0, less = 0;
    for (let at = 0; at < data.length; at += 4) {
        const lean = data[at] - data[at + 2];
        if (lean > 40) more++;
        if (lean < -40) less++;
    }
    return [more, less];
}"""
TONES = """() => {
    const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const light = (text) => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
        return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    };
    const ground = light(getComputedStyle(document.body).backgroundColor);
    const words = document.querySelectorAll('#compare .word, #compare small, #compare th button');
    return [...words].map((item) => {
        const ink = light(getComputedStyle(item).color);
        return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    });
}"""


@pytest.fixture
def open_compared(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a comparison."""
    with watched_pages(browser, tmp_path) as pages:

        def open_it(
            comparison: Comparison, theme: str = "light", fragment: str = "", width: int = 1440
        ) -> Any:
            both = page_compare(comparison)
            data = PageData("B", summary(both.tree), both.tree, None, compared=both.facts)
            return pages.open(render_page(data), fragment, width, color_scheme=theme)

        yield open_it


@pytest.fixture
def slower(tmp_path: Path) -> Comparison:
    return compare(*map(read_profile, pair(tmp_path)))


def text(page: Any, selector: str) -> str:
    return " ".join(page.inner_text(selector).replace("\u202f", " ").split())


def table(page: Any, label: str) -> Any:
    return page.locator(f'#compare [aria-label="{label}"]')


@pytest.mark.parametrize("theme", THEMES)
def test_figures_have_intervals_and_words(open_compared: Open, slower: Comparison, theme: str) -> None:
    page = open_compared(slower, theme)
    shown = text(page, "#compare")
    assert "TPOT 12.5 ms 18.8 ms +50.0 % +43.6 % to +56.7 % slower 2 and 2" in shown
    assert "Load 500 ms 500 ms" in shown and "unknown" in shown
    assert "dtype float32 → bfloat16" in shown
    assert page.locator("#compare .bad").count() > 3
    assert min(page.evaluate(TONES)) >= 4.5, "words can be read on the page's ground"


@pytest.mark.parametrize("theme", THEMES)
def test_the_flame_graph_of_change(open_compared: Open, slower: Comparison, theme: str) -> None:
    page = open_compared(slower, theme)
    page.click("#compare >> text=Flame graph: Larger of both")
    settle(page)
    state = view(page)
    assert (state["metric"], state["colour"]) == ("wall_ns@larger", "change")
    assert "noise" in text(page, "#legend") and "twice A, or new" in text(page, "#legend")
    more, less = page.evaluate(COLOURS)
    assert more > 1_000 and less > 1_000, "what is new and what is gone"
    page.click("#compare >> text=Flame graph: A")
    settle(page)
    assert view(page)["metric"] == "wall_ns@before"
    assert "colour=change" in address(page)
    page.reload()
    page.wait_for_selector("html[data-whole]")
    assert view(page)["colour"] == "change", "the address holds it"
    page.select_option("#metric", "calls@before")
    settle(page)
    page.click("#compare >> text=Flame graph: B")
    settle(page)
    assert view(page)["metric"] == "calls", "the metric stays, its side changes"


def test_widths_are_those_of_the_run(open_compared: Open, slower: Comparison) -> None:
    for metric, side in (("wall_ns", 1), ("wall_ns@before", 0)):
        drawn = widths(open_compared(slower, fragment=f"#metric={metric}"))
        totals = slower.joined.totals("wall_ns")[side]
        for node, width in drawn.items():
            assert width / drawn[0] == pytest.approx(totals[node] / totals[0], abs=1e-6)


def test_tables_are_sorted_by_a_click(open_compared: Open, slower: Comparison) -> None:
    page = open_compared(slower)
    frames = table(page, "Wall time by frame, each without those below it")
    frames.locator("th button", has_text="B").first.click()
    assert frames.locator('th[aria-sort="descending"]').count() == 1
    assert "renamed" in frames.locator("tbody tr").first.inner_text()
    frames.locator("th button", has_text="B").first.click()
    assert "forward" in frames.locator("tbody tr").first.inner_text()


def test_a_row_leads_into_the_graph(open_compared: Open, slower: Comparison) -> None:
    page = open_compared(slower)
    table(page, "Called more or less often").locator("button.link", has_text="renamed").first.click()
    settle(page)
    assert view(page)["query"] == "renamed" and "frames" in page.inner_text("#found")
    press(page, "Escape")


def test_a_page_of_one_run_has_no_such_part(open_page: Open) -> None:
    page = open_page(llama(), "#colour=change")
    assert page.locator("#compare").is_hidden() and page.inner_text("#compare") == ""
    assert page.locator("text=By change").count() == 0
    assert "Self share" in page.inner_text("#legend")


def test_hostile_names_are_text(open_compared: Open, tmp_path: Path) -> None:
    files = pair(tmp_path, name=HOSTILE)
    set_subject(files[1], "dtype", HOSTILE)
    set_subject(files[1], "model", HOSTILE)
    page = open_compared(compare(*map(read_profile, files), force=True))
    assert "<img src=x onerror=alert(1)>" in page.inner_text("#compare")
    assert page.locator("#compare img").count() == 0 and "\u202e" not in page.inner_text("#compare")
    assert "Not alike" in page.inner_text("#compare")


def test_a_phone_has_room_for_it(open_compared: Open, slower: Comparison) -> None:
    page = open_compared(slower, width=390)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")


def test_a_run_that_did_not_end_says_so(open_compared: Open, tmp_path: Path) -> None:
    files = pair(tmp_path, until="load", status="partial", reason="interrupted")
    page = open_compared(compare(*map(read_profile, files)))
    assert "partial: interrupted" in text(page, "#compare .runs")
