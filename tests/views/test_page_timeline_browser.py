"""The timeline in a browser: windows, events, launches, keys, the way into the graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from llmflame.store.profile import Profile
from llmflame.store.rows import ProbeReportRow
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


@both_themes
def test_a_cpus_windows_have_the_main_threads_lane(open_sections: Open, scheme: str) -> None:
    page = open_sections(gpu=False, slices=True, scheme=scheme)
    choice = page.locator("#timeline-window")
    assert choice.input_value() == "decode.1"
    options = [words.split(" (")[0] for words in choice.locator("option").all_inner_texts()]
    assert options[:3] == ["load", "prefill step 0", "decode step 1"]
    about = text(page, "#timeline .aside")
    assert about.startswith("As traced") and "device" not in about and "GPU" not in about
    assert page.locator("#timeline .keys").is_hidden() and colours(page) > 10
    seen = []
    page.focus(".lanes")
    for _ in range(8):
        page.keyboard.press("ArrowDown")
        settle(page)
        seen.append(text(page, "#timeline .readout"))
    assert all("in main thread" in words for words in seen)
    assert [words.split(":")[0] for words in seen[:4]] == [
        "_sample",
        "TinyForCausalLM",
        "forward",
        "TinyLayer",
    ]
    assert len({words.split(":")[0] for words in seen}) > 4


def test_a_cpus_frame_is_clicked_and_shown_in_the_graph(open_sections: Open) -> None:
    page = open_sections(gpu=False, slices=True)
    page.locator(".lanes").scroll_into_view_if_needed()
    box = page.locator(".lanes").bounding_box()
    for down in range(24, int(box["height"]), 6):
        page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + down)
        settle(page)
        if page.locator("#tooltip").is_visible() and "aten::linear" in text(page, "#tooltip"):
            break
    page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + down)
    settle(page)
    assert text(page, "#timeline .readout").startswith("aten::linear")
    page.click("#timeline .readout button:has-text('Show in the graph')")
    settle(page)
    names = page.evaluate(
        """(node) => {
            const [names, tree] = [[], llmflame.tree()];
            for (; node > 0; node = tree.parent[node]) names.push(tree.frame(node).name);
            return names;
        }""",
        view(page)["selected"],
    )
    assert names[0] == "aten::linear" and names[-1] == "decode"


@both_themes
def test_threads_have_lanes_below(open_sections: Open, scheme: str) -> None:
    page = open_sections("#timeline.window=start", gpu=False, slices=True, threads=True, scheme=scheme)
    about = text(page, "#timeline .aside")
    assert "Threads as they were sampled" in about and "beside the wall, not part of it" in about
    assert colours(page) > 5
    lanes: list[str] = []
    page.focus(".lanes")
    while not lanes or ("main thread" not in lanes[-1] and len(lanes) < 20):
        keys(page, "ArrowDown")
        lanes.append(text(page, "#timeline .readout"))
    ways = ["phases and steps", "pool_0, sampled", "pool_1, sampled", "main thread, sampled"]
    seen = [next(way for way in ways if f"in {way}" in words) for words in lanes]
    assert list(dict.fromkeys(seen)) == ways
    first, second = (lanes[seen.index(way)] for way in ways[1:3])
    # What asked for the work is not what calls it.
    assert first.startswith("materialize") and second.startswith("materialize") and "100 ms" in second
    keys(page, "ArrowUp", "ArrowUp", "ArrowRight")
    assert "pool_0, sampled" in text(page, "#timeline .readout") and "pool_0" in text(page, "#spoken")
    again = open_sections(written(page), gpu=False, slices=True, threads=True, scheme=scheme)
    assert text(again, "#timeline .readout") == text(page, "#timeline .readout")
    page.click("#timeline .readout button:has-text('Show in the graph')")
    settle(page)
    assert view(page)["selected"] > 0


def test_a_traced_windows_other_threads_are_named(open_sections: Open) -> None:
    name = '</script><img src=x onerror="window.__pwned=1">'
    page = open_sections("#timeline.window=decode.1", gpu=False, slices=True, threads=True, name=name)
    assert "Other threads ran beside the main one" in text(page, "#timeline .aside")
    page.focus(".lanes")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    settle(page)
    assert "onerror" in text(page, "#timeline .readout") and "wait" in text(page, "#timeline .readout")
    assert page.evaluate("() => window.__pwned === undefined && document.querySelector('img') === null")


def test_what_was_too_much_is_named(open_sections: Open) -> None:
    def cut(profile: Profile) -> Profile:
        report = ProbeReportRow("anatomy", "tracer", "slices left out of prefill step 0", 9_999, "count")
        return replace(
            profile,
            slices=tuple(piece for piece in profile.slices if piece.window != 1002),
            probe_reports=(*profile.probe_reports, report),
        )

    page = open_sections(gpu=False, slices=True, change=cut)
    about = text(page, "#timeline .aside")
    assert "Too many events to be kept in the profile: those of prefill step 0." in about
    assert "older releases" not in about


def test_a_cpu_has_no_gpu_lanes(open_sections: Open) -> None:
    page = open_sections(gpu=False)
    assert page.locator("#timeline-window").input_value() == "request.1"
    about = text(page, "#timeline .aside")
    assert "Of load, prefill step 0, decode step 1 the profile has no order of events" in about
    assert "older releases kept it only where a GPU worked" in about
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
