"""The page in a browser: opened from a file, without a network."""

from __future__ import annotations

import pytest

from llmflame.analysis.tree import Tree
from tests.views.browsing import IN_A_BROWSER, Open, address, child, press, settle, view, widths
from tests.views.test_page import hostile_tree
from tests.views.test_page_samples import llama, random_tree

pytestmark = IN_A_BROWSER

INK = """() => {
    const canvas = document.querySelector('canvas');
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    const seen = new Set();
    for (let at = 0; at < data.length; at += 40) seen.add(data.slice(at, at + 3).join());
    return seen.size;
}"""


INK_OF_PHASES = """() => {
    const canvas = document.querySelector('canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const at = (x, y) => [...data.subarray((y * canvas.width + x) * 4).subarray(0, 3)];
    const colours = new Map([...document.querySelectorAll('.card')].map(card => {
        const swatch = card.querySelector('.swatch');
        return [card.querySelector('.name').textContent, getComputedStyle(swatch).backgroundColor];
    }));
    const pixel = colour => {
        const one = new OffscreenCanvas(1, 1).getContext('2d');
        one.fillStyle = colour;
        one.fillRect(0, 0, 1, 1);
        return [...one.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const phases = llmflame.boxes().filter(box => box.depth === 1 && box.node >= 0 && box.width > 8);
    return phases.map(box => ({
        wanted: pixel(colours.get(llmflame.tree().frame(box.node).name)),
        rows: [20, 38, 39].map(y => at(Math.round(box.x) + 1, y)),
    }));
}"""
"""Of each phase in the graph: its colour, and that of its row's first, last but one and last line."""


def test_page_opens_and_draws(open_page: Open) -> None:
    page = open_page(llama())
    assert page.evaluate(INK) > 20
    assert page.inner_text("h1") == "A run"
    assert "42.3" in page.inner_text("#figures")
    assert page.locator(".card").count() == 9
    assert page.locator("#table tbody tr").count() == 25


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_boxes_have_the_colours_that_are_said(open_page: Open, scheme: str) -> None:
    page = open_page(llama())
    if scheme == "dark":
        page.click("#theme")
        settle(page)
    drawn = page.evaluate(INK_OF_PHASES)
    assert len(drawn) >= 3
    for one in drawn:
        first, last, gap = one["rows"]
        assert first == last == one["wanted"], "a box is of one colour, that of its phase"
        assert gap != one["wanted"], "a line of paper parts it from the row below"


def test_widths_are_shares_of_the_run(open_page: Open) -> None:
    tree = llama()
    drawn = widths(open_page(tree))
    totals = tree.totals("wall_ns")
    for node, width in drawn.items():
        assert width / drawn[0] == pytest.approx(totals[node] / totals[0], abs=1e-6)


def test_a_broken_profile_says_so(open_page: Open) -> None:
    page = open_page(llama(), status="failed", reason="killed by signal 9 <b>")
    assert "failed" in page.inner_text("#status")
    assert "killed by signal 9 <b>" in page.inner_text("#status")


def test_what_is_unknown_is_said(open_page: Open) -> None:
    page = open_page(llama(), machine=None, latency={}, cost=None, coverage=None, subject=None, phases=None)
    assert "unknown" in page.inner_text("#lead")
    assert "unknown" in page.inner_text("#figures")
    assert "NaN" not in page.inner_text("body") and "undefined" not in page.inner_text("body")
    assert page.locator(".card").count() == 9


def test_search_prints_its_share(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    page.keyboard.press("/")
    page.keyboard.type("aten::mm")
    settle(page)
    totals = tree.totals("wall_ns")
    found = [n for n in range(len(tree)) if tree.frame(n).name == "aten::mm"]
    share = sum(totals[n] for n in found) / totals[0]
    assert page.inner_text("#found").replace("\u202f", "") == f"{len(found)} frames, {share:.1%} of run"
    page.keyboard.press("Enter")
    settle(page)
    assert view(page)["selected"] == max(found, key=lambda n: totals[n])
    press(page, "n")
    assert page.inner_text("#found").startswith("2 / ")


def test_search_by_pattern(open_page: Open) -> None:
    page = open_page(llama(), "#query=%5Eaten%3A%3A(mm%7Csilu)%24&regex=1")
    assert "frames" in page.inner_text("#found")
    page.fill("#search", "(")
    assert page.inner_text("#found") == "not a regular expression"


def test_zoom_by_keyboard(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    press(page, "ArrowDown")
    heaviest = view(page)["selected"]
    assert heaviest == child(tree, "decode")
    press(page, "ArrowLeft")
    assert view(page)["selected"] == child(tree, "prefill")
    press(page, "Enter")
    assert view(page)["zoom"] == child(tree, "prefill")
    drawn = widths(page)
    assert drawn[child(tree, "prefill")] == pytest.approx(
        page.evaluate("() => document.querySelector('canvas').clientWidth")
    )
    assert "prefill" in page.inner_text("#crumbs") and "prefill" in page.inner_text("#details h2")
    press(page, "ArrowDown", "Enter", "Backspace")
    assert view(page)["zoom"] == child(tree, "prefill")
    press(page, "Escape")
    assert view(page)["zoom"] == 0
    page.go_back()
    settle(page)
    assert view(page)["zoom"] == child(tree, "prefill")


def test_what_is_beside_the_graph_follows_it(open_page: Open) -> None:
    page = open_page(llama())
    before = page.evaluate("() => history.length")
    page.focus(".flame-scroller")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    for place in ("#details h2", "#crumbs [aria-current]", "#table h2 small"):
        page.wait_for_function(
            "place => document.querySelector(place).textContent.includes('decode')", arg=place
        )
    page.wait_for_function("before => history.length === before + 1", arg=before)
    page.wait_for_function("() => document.querySelectorAll('#table tbody tr').length === 25")


def test_a_zoom_ends_where_it_was_going_though_a_key_is_pressed_on_the_way(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    page.emulate_media(reduced_motion="no-preference")
    page.focus(".flame-scroller")
    for key in ("ArrowDown", "Enter", "ArrowDown"):
        page.keyboard.press(key)
    decode = child(tree, "decode")
    page.wait_for_function(
        """node => llmflame.boxes().some(box => box.node === node
            && Math.abs(box.width - document.querySelector('canvas').clientWidth) < 0.01)""",
        arg=decode,
    )
    assert view(page)["zoom"] == decode != view(page)["selected"]


def test_back_leads_to_what_stood_there_though_more_was_typed(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    press(page, "ArrowDown", "Enter")
    assert view(page)["zoom"] == child(tree, "decode")
    page.evaluate("""() => {
        const search = document.querySelector('#search');
        search.value = 'mm';
        search.dispatchEvent(new Event('input'));
        history.back();
    }""")
    page.wait_for_function("() => llmflame.view().zoom === 0")
    settle(page)
    assert "zoom" not in address(page) and "query" not in address(page)
    assert view(page)["query"] == ""


def test_a_row_that_is_selected_keeps_the_focus(open_page: Open) -> None:
    page = open_page(llama())
    page.focus("#table tbody tr:nth-child(2) .link")
    page.keyboard.press("Enter")
    settle(page)
    assert page.get_attribute("#table tbody tr:nth-child(2)", "aria-selected") == "true"
    assert page.evaluate("() => document.activeElement.closest('tr')?.rowIndex") == 2
    page.click("#table .more button")
    assert page.locator("#table tbody tr").count() > 25
    press(page, "ArrowDown", "Enter")
    assert page.locator("#table tbody tr[aria-selected=true]").count() <= 1


def test_zoom_by_click(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    box = next(b for b in page.evaluate("() => llmflame.boxes()") if b["node"] == child(tree, "decode"))
    page.locator("canvas").hover(position={"x": box["x"] + box["width"] / 2, "y": 30})
    assert "decode" in page.inner_text("#tooltip")
    page.locator("canvas").click(position={"x": box["x"] + box["width"] / 2, "y": 30})
    settle(page)
    assert view(page)["zoom"] == child(tree, "decode")
    assert page.locator("#tooltip").is_hidden()


def test_a_phase_zooms(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    page.click(".card:has-text('decode')")
    settle(page)
    assert view(page)["zoom"] == child(tree, "decode")


def test_another_metric_has_other_widths(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    before = widths(page)
    page.select_option("#metric", label="Bytes allocated")
    settle(page)
    after = widths(page)
    load, totals = child(tree, "load"), tree.totals("alloc_bytes")
    assert after[load] > 2 * before[load]
    assert after[load] / after[0] == pytest.approx(totals[load] / totals[0], abs=1e-6)
    assert "bytes allocated" in page.inner_text("#table h2")
    assert page.locator("#metric option", has_text="Device time").count() == 0, "nobody measured any"


def test_merged_layers(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    press(page, "m")
    page.fill("#search", "model.layers.*")
    settle(page)
    names = page.evaluate("() => llmflame.tree().frames.map(frame => frame.module)")
    assert "model.layers.*.mlp" in names and "model.layers.7.mlp" not in names
    totals = page.evaluate("() => [...llmflame.tree().total(0).slice(0, 1)]")
    assert totals[0] == pytest.approx(tree.totals("wall_ns")[0], abs=1)


def test_table_selects_and_sorts(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    page.click("#table tbody tr:first-child .link")
    settle(page)
    assert tree.frame(view(page)["selected"]).name == "aten::mm"
    assert page.inner_text("#details h2") == "aten::mm"
    page.click("#table th.name button")
    assert page.get_attribute("#table th.name", "aria-sort") == "ascending"
    names = page.locator("#table .link").all_inner_texts()
    assert names == sorted(names)


def test_address_restores_a_view(open_page: Open) -> None:
    tree = llama()
    page = open_page(tree)
    page.select_option("#metric", "alloc_bytes")
    press(page, "ArrowDown", "Enter", "ArrowDown", "ArrowDown", "ArrowDown", "o", "i", "c", "m")
    page.fill("#search", "mlp & more")
    settle(page)
    told = view(page)
    again = open_page(tree, address(page))
    assert view(again) == told
    assert told["zoom"] != 0 and told["selected"] != told["zoom"]
    assert widths(again) == pytest.approx(widths(page))
    assert again.input_value("#search") == "mlp & more"


def test_hostile_names_do_nothing(open_page: Open) -> None:
    tree = hostile_tree()
    page = open_page(
        tree, title="</title><script>window.__pwned = 1</script>", reason="<img src=x onerror=alert(1)>"
    )
    for node in range(1, len(tree)):
        press(page, "Escape", "ArrowDown", *["ArrowLeft"] * (len(tree) - 1 - node), "Enter")
    press(page, "Escape")
    page.locator("canvas").hover(position={"x": 300, "y": 30})
    assert page.evaluate("() => window.__pwned") is None
    assert page.locator("img").count() == 0
    assert page.title() == "</title><script>window.__pwned = 1</script>"
    assert "\u241b[31mred" in page.inner_text("#table")


def test_a_hundred_thousand_nodes(open_page: Open) -> None:
    page = open_page(random_tree(100_000))
    count = page.evaluate("() => llmflame.boxes().length")
    assert 100 < count < 60_000
    assert page.evaluate(INK) > 20
    page.fill("#search", "frame_1")
    settle(page)
    assert "of run" in page.inner_text("#found")


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nothing_sticks_out(open_page: Open, width: int) -> None:
    page = open_page(llama(), "#query=mlp", width=width)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_theme_is_a_choice(open_page: Open) -> None:
    page = open_page(llama())
    before = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    settle(page)
    assert page.evaluate("() => document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") != before


def test_an_empty_tree_says_so(open_page: Open) -> None:
    page = open_page(Tree(frames=[], parents=[], node_frames=[]), phases=[])
    assert "no numbers to draw" in page.inner_text("#flame")
