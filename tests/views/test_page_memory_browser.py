"""The page's part about memory in a browser: hover, keys, and the flame graph of bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.memory.overview import memory_document
from llmflame.views.page import PageData, page_memory, render_page
from tests.views.browsing import IN_A_BROWSER, Open, address, settle, view, widths
from tests.views.memory_sample import MIB, memory_profile
from tests.views.pages import watched_pages
from tests.views.test_page_samples import llama, summary

pytestmark = IN_A_BROWSER

TOTAL = "() => llmflame.tree().total(llmflame.tree().metric(llmflame.view().metric))[0]"


@pytest.fixture
def open_memory(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a made-up run with memory."""
    with watched_pages(browser, tmp_path) as pages:

        def open_it(owner: str = "model.embed", fragment: str = "", width: int = 1440, **how: bool) -> Any:
            tree = llama()
            memory = page_memory(memory_profile(owner, **how))
            html = render_page(PageData("A run", summary(tree), tree, memory))
            return pages.open(html, fragment, width)

        yield open_it


def text(page: Any, selector: str) -> str:
    found: str = page.locator(selector).first.inner_text()
    return " ".join(found.replace("\u202f", " ").split())


def hover(page: Any, share: float, nth: int = 0) -> None:
    plot = page.locator(".plot").nth(nth)
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    settle(page)


def test_hover_says_values_and_phase(open_memory: Open) -> None:
    page = open_memory()
    assert page.locator(".chart").count() == 1
    hover(page, 0.2)
    told = text(page, "#tooltip")
    assert told.startswith("load, at 8") and "anonymous" in told and "together" in told
    hover(page, 0.95)
    told = text(page, "#tooltip")
    assert told.startswith("decode of request 2") and "375 MiB anonymous" in told
    assert "375 MiB" in text(page, ".chart figcaption")
    page.mouse.move(2, 2)
    assert page.locator("#tooltip").is_hidden() and "highest" in text(page, ".chart figcaption")


def test_keys_move_the_cursor(open_memory: Open) -> None:
    page = open_memory()
    page.focus(".plot")
    page.keyboard.press("End")
    assert "decode of request 2" in str(page.get_attribute(".plot", "aria-valuetext"))
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute(".plot", "aria-valuenow") == "1"
    assert "load" in text(page, ".chart figcaption") and view(page)["selected"] == 0


def test_a_stretch_of_time_fills_the_chart(open_memory: Open) -> None:
    page = open_memory()
    whole = page.locator(".strip span").count()
    page.click("#memory button:has-text('Request 2')")
    assert page.locator(".strip span").count() < whole
    assert page.locator(".high-water").count() == 3
    hover(page, 0.02)
    assert text(page, "#tooltip").startswith("tokenize of request 2")


def test_a_device_has_its_own_chart_and_peak(open_memory: Open) -> None:
    page = open_memory(device=True)
    assert page.locator(".chart").count() == 2 and page.locator(".made-of").count() == 2
    hover(page, 0.9, nth=1)
    assert "400 MiB in use beyond the allocator" in text(page, "#tooltip")
    assert "800 MiB together" in text(page, "#tooltip")


def test_bytes_are_a_width(open_memory: Open) -> None:
    page = open_memory()
    page.select_option("#metric", "held_bytes@decode")
    settle(page)
    phases = memory_document(memory_profile())["phases"]
    peak = next(one for one in phases if one["phase"] == "decode")
    assert page.evaluate(TOTAL) == peak["peak_bytes"]
    assert "bytes held in decode (host)" in text(page, "#details")
    assert "weights" in text(page, "#legend")
    assert page.locator(".card[aria-pressed='true'] .name").inner_text() == "decode"
    weights = page.evaluate("() => llmflame.tree().frames.findIndex(frame => frame.name === 'weights')")
    drawn = widths(page)
    node = page.evaluate(f"() => llmflame.tree().frameOf.indexOf({weights})")
    assert drawn[node] / drawn[0] == pytest.approx(300 * MIB / peak["peak_bytes"], abs=1e-6)


def test_phases_and_findings_lead_out_of_bytes_and_back(open_memory: Open) -> None:
    page = open_memory()
    page.click(".made-of .open")
    settle(page)
    first = view(page)["metric"]
    assert first.startswith("held_bytes@")
    page.click(".card:has-text('decode')")
    assert view(page)["metric"] == "held_bytes@decode"
    page.click(".card:has-text('import')")
    settle(page)
    assert view(page)["metric"] == "wall_ns" and view(page)["zoom"] > 0


def test_address_restores_bytes(open_memory: Open) -> None:
    page = open_memory()
    page.select_option("#metric", "held_bytes@decode.1")
    page.click("#toolbar button:has-text('Merge layers')")
    settle(page)
    page.focus(".flame-scroller")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    settle(page)
    told = view(page)
    again = open_memory(fragment=address(page))
    assert view(again) == told and told["zoom"] > 0
    assert again.evaluate(TOTAL) == page.evaluate(TOTAL)


def test_predictions_are_shown_where_there_are_any(open_memory: Open) -> None:
    page = open_memory()
    assert "290 MiB" in text(page, ".predictions") and "weights" in text(page, ".predictions")
    assert open_memory(predicted=False).locator(".predictions").count() == 0


def test_hostile_owners_do_nothing(open_memory: Open) -> None:
    owner = '</script><img src=x onerror="window.__pwned=1">'
    page = open_memory(owner)
    page.locator(".owners summary").first.click()
    assert owner in text(page, "#memory")
    page.click(".made-of .open")
    page.fill("#search", "onerror")
    settle(page)
    assert page.evaluate("() => window.__pwned === undefined && document.querySelector('img') === null")


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nothing_sticks_out(open_memory: Open, width: int) -> None:
    page = open_memory("a.very.long.owner." * 20 + "end", width=width, device=True)
    page.evaluate("() => document.querySelectorAll('details').forEach(item => { item.open = true })")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_prints_opened_and_light(open_memory: Open) -> None:
    page = open_memory(device=True)
    page.click("#theme")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    settle(page)
    assert page.evaluate("() => document.documentElement.dataset.theme") == "light"
    assert page.evaluate("() => [...document.querySelectorAll('#memory details')].every(item => item.open)")
    assert page.locator(".plot path").count() == 6
