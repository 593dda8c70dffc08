"""The timeline in a browser: windows, events, launches, keys, the way into the graph."""

from __future__ import annotations

from typing import Any

import pytest

from tests.views.browsing import IN_A_BROWSER, Open, settle, view
from tests.views.browsing import address as written
from tests.views.sections_page import address, open_sections, text

__all__ = ["open_sections"]
pytestmark = IN_A_BROWSER

both_themes = pytest.mark.parametrize("scheme", ["light", "dark"])
REST_MS = 400


def keys(page: Any, *pressed: str) -> None:
    page.focus(".lanes")
    for key in pressed:
        page.keyboard.press(key)
    settle(page)


def colours(page: Any) -> int:
    """How many colours there are on the canvas: nothing drawn is one."""
    found: int = page.evaluate(
        """() => {
            const canvas = document.querySelector('.lanes canvas');
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    return found


@both_themes
def test_lanes_are_drawn(open_sections: Open, scheme: str) -> None:
    page = open_sections(scheme=scheme)
    assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
    page.locator("#timeline").scroll_into_view_if_needed()
    settle(page)
    assert colours(page) > 10
    assert "launch-bound Python" in text(page, "#timeline .keys")
    assert page.locator("#timeline-window").input_value() == "decode.1"


def test_a_window_is_chosen_and_kept(open_sections: Open) -> None:
    page = open_sections()
    page.select_option("#timeline-window", "prefill.0")
    assert "timeline.window=prefill.0" in address(page)
    again = open_sections(written(page))
    assert again.locator("#timeline-window").input_value() == "prefill.0"
    page.select_option("#timeline-window", "request.1")
    assert "As it went undisturbed" in text(page, "#timeline .aside")
    assert page.locator("#timeline .keys").is_hidden()


@both_themes
def test_keys_walk_through_the_events(open_sections: Open, scheme: str) -> None:
    page = open_sections(scheme=scheme)
    keys(page, "ArrowDown")
    assert "GPU idle" in text(page, "#timeline .readout")
    keys(page, "ArrowDown")
    first = text(page, "#timeline .readout")
    assert "stream 7" in first and "after its launch" in first
    keys(page, "ArrowRight")
    assert text(page, "#timeline .readout") != first
    assert text(page, "#timeline .readout").split(":")[0] in text(page, "#spoken")
    keys(page, "ArrowDown", "ArrowDown")
    assert "main thread" in text(page, "#timeline .readout")
    at = address(page)
    assert "timeline.at=" in at
    again = open_sections(written(page), scheme=scheme)
    assert text(again, "#timeline .readout") == text(page, "#timeline .readout")
    keys(page, "Escape")
    assert page.locator("#timeline .readout").is_hidden() and "timeline.at" not in address(page)


def test_an_event_leads_into_the_graph(open_sections: Open) -> None:
    page = open_sections()
    keys(page, "ArrowDown", "ArrowDown", "g")
    settle(page)
    selected = view(page)["selected"]
    assert selected > 0
    name = page.evaluate(f"() => llmflame.tree().frame({selected}).name")
    assert name == "aten::mm"
    assert page.evaluate("() => document.activeElement.className") == "flame-scroller"


def test_zoom_by_keys_buttons_and_wheel_is_kept(open_sections: Open) -> None:
    page = open_sections()
    keys(page, "+", "+")
    page.wait_for_timeout(REST_MS)
    zoomed = address(page)
    assert "timeline.view=" in zoomed
    again = open_sections(written(page))
    settle(again)
    assert "timeline.view=" in address(again)
    page.click("#timeline button:has-text('Whole window')")
    page.wait_for_timeout(REST_MS)
    assert "timeline.view" not in address(page)
    box = page.locator(".lanes").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.wait_for_timeout(REST_MS)
    first = address(page)
    assert "timeline.view=" in first
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 200, box["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_timeout(REST_MS)
    assert "timeline.view=" in address(page) and address(page) != first


def test_the_page_scrolls_over_the_timeline(open_sections: Open) -> None:
    """A wheel alone belongs to the page."""
    page = open_sections()
    page.locator("#timeline").scroll_into_view_if_needed()
    box = page.locator(".lanes").bounding_box()
    before = page.evaluate("() => scrollY")
    page.mouse.move(box["x"] + 200, box["y"] + 40)
    page.mouse.wheel(0, 4000)
    page.wait_for_timeout(REST_MS)
    assert page.evaluate("() => scrollY") > before and "timeline.view" not in address(page)


def test_pointer_tells_and_selects(open_sections: Open) -> None:
    page = open_sections()
    page.locator(".lanes").scroll_into_view_if_needed()
    box = page.locator(".lanes").bounding_box()
    height = page.evaluate("() => document.querySelector('.lanes canvas').clientHeight")
    found = []
    for down in range(10, int(min(box["height"], height)), 6):
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + down)
        settle(page)
        if page.locator("#tooltip").is_visible():
            found.append((down, text(page, "#tooltip")))
    assert any("main thread" in words for _, words in found)
    down, words = next(one for one in found if "main thread" in one[1])
    page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + down)
    settle(page)
    assert words.split()[0] in text(page, "#timeline .readout")


def test_a_cpu_has_no_gpu_lanes(open_sections: Open) -> None:
    page = open_sections(gpu=False)
    assert page.locator("#timeline-window").input_value() == "request.1"
    assert "only where a GPU worked" in text(page, "#timeline .aside")
    seen = []
    page.focus(".lanes")
    for _ in range(6):
        page.keyboard.press("ArrowDown")
        settle(page)
        seen.append(text(page, "#timeline .readout"))
    assert all("phases and steps" in words for words in seen)
    assert not any("stream" in words or "GPU" in words for words in seen)


def test_hostile_names_do_nothing(open_sections: Open) -> None:
    name = '</script><img src=x onerror="window.__pwned=1">'
    page = open_sections(name=name, kernel=name)
    keys(page, "ArrowDown", "ArrowDown")
    assert "<script>" in text(page, "#timeline .readout")
    page.click("#timeline .readout button:has-text('Show in the graph')")
    assert page.evaluate("() => window.__pwned === undefined && document.querySelector('img') === null")


@pytest.mark.parametrize("width", [375, 768, 1440])
def test_nothing_sticks_out(open_sections: Open, width: int) -> None:
    page = open_sections(width=width)
    page.evaluate("() => document.querySelectorAll('details').forEach(item => { item.open = true })")
    settle(page)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_the_nav_leads_to_each_part(open_sections: Open) -> None:
    page = open_sections()
    labels = [" ".join(label.split()) for label in page.locator("#nav button").all_inner_texts()]
    assert labels[0] == "Overview" and labels[-4:] == ["Timeline", "Steps", "Roofline", "Tables"]
    page.focus("#nav button:has-text('Tables')")
    page.keyboard.press("Enter")
    settle(page)
    assert page.evaluate("() => document.activeElement.id") == "tables-title"
    assert page.locator("#tables-title").is_visible() and address(page) == ""
    settle(page)
    current = page.locator("#nav button[aria-current='true']")
    assert current.count() == 1 and current.inner_text() in ("Tables", "Roofline")
    bare = open_sections(gpu=False, until="load", status="partial")
    labels = bare.locator("#nav button").all_inner_texts()
    assert "Steps" not in labels and "Roofline" not in labels and bare.locator("#steps").count() == 0


def test_on_paper_it_is_light_and_whole(open_sections: Open) -> None:
    page = open_sections(scheme="dark")
    page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    settle(page)
    assert page.evaluate("() => document.documentElement.dataset.theme") == "light"
    pixel = (
        "() => [...document.querySelector('.lanes canvas').getContext('2d').getImageData(3, 3, 1, 1).data]"
    )
    assert min(page.evaluate(pixel)[:3]) > 200
    page.emulate_media(media="print")
    assert page.locator("#nav").is_hidden() and page.locator("#timeline .tools").is_hidden()
