"""What the flame graph is looked through, clicked and typed in a browser, in both themes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame, Metric
from tests.views.browsing import IN_A_BROWSER, Open, address, child, press, settle, view, widths
from tests.views.test_page import HOSTILE, hostile_tree
from tests.views.test_page_samples import llama

pytestmark = IN_A_BROWSER

STEPS_OF_DECODE = 64


@pytest.fixture(params=["light", "dark"])
def opened(open_page: Open, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Opens a page in one theme."""

    def open_it(tree: Tree, fragment: str = "", **changes: object) -> Any:
        page = open_page(tree, fragment, **changes)
        page.emulate_media(color_scheme=request.param)
        settle(page)
        assert page.evaluate("() => document.documentElement.dataset.theme") == request.param
        return page

    return open_it


def known(tree: Tree) -> Tree:
    """With a floor at each product, a tenth of its time, and the eighth step of decode alone."""
    wall = tree.selfs["wall_ns"]
    decode = child(tree, "decode")
    inside = [decode in tree.path(node) for node in range(len(tree))]
    is_product = [tree.frame(node).name == "aten::mm" for node in range(len(tree))]
    step = Metric("wall_ns@decode.8", "ns", "sum", "Wall time, decode step 8")
    columns = {
        "floor_ns": [own / 10 if product else 0.0 for own, product in zip(wall, is_product, strict=True)],
        step.name: [own / STEPS_OF_DECODE if here else 0.0 for own, here in zip(wall, inside, strict=True)],
    }
    return replace(tree, metrics=[*tree.metrics, metrics.FLOOR, step], selfs={**tree.selfs, **columns})


def outermost(tree: Tree, name: str) -> list[int]:
    return [
        node
        for node in range(len(tree))
        if tree.frame(node).name == name
        and all(tree.frame(above).name != name for above in tree.path(node)[:-1])
    ]


def root_total(page: Any, metric: str = "wall_ns") -> float:
    total: float = page.evaluate(
        "name => { const tree = llmflame.tree(); return tree.total(tree.metric(name))[0]; }", metric
    )
    return total


def select(page: Any, name: str) -> None:
    page.fill("#search", name)
    page.press("#search", "Enter")
    page.fill("#search", "")
    settle(page)
    assert page.inner_text("#details h2") == name


def chips(page: Any) -> list[str]:
    found: list[str] = page.locator("#lenses .chip").all_inner_texts()
    return [" ".join(words.replace("\u00d7", "").split()) for words in found]


def test_callers_of_a_frame(opened: Callable[..., Any]) -> None:
    tree = llama()
    page = opened(tree)
    select(page, "aten::mm")
    page.click("#details button:text-is('Callers')")
    settle(page)
    assert chips(page) == ["Callers of aten::mm"]
    totals = tree.totals("wall_ns")
    assert root_total(page) == pytest.approx(
        sum(totals[node] for node in outermost(tree, "aten::mm")), abs=300
    )
    drawn = page.evaluate(
        "() => llmflame.boxes().map(box => [box.depth, llmflame.tree().frame(Math.max(box.node, 0)).name])"
    )
    assert {name for depth, name in drawn if depth == 0} == {"aten::mm"}
    assert {name for depth, name in drawn if depth == 1} == {"aten::linear"}
    assert page.locator("#table").is_hidden()
    assert "of its total" in page.inner_text("#details")
    press(page, "v")
    assert chips(page) == [] and root_total(page) == pytest.approx(totals[0], abs=1)
    assert tree.frame(view(page)["selected"]).name == "aten::mm"
    page.go_back()
    settle(page)
    assert chips(page) == ["Callers of aten::mm"]


def test_focus_on_a_frame_and_on_a_pattern(opened: Callable[..., Any]) -> None:
    tree = llama()
    page = opened(tree)
    totals = tree.totals("wall_ns")
    select(page, "aten::silu")
    press(page, "f")
    assert chips(page) == ["Only stacks through aten::silu"]
    assert root_total(page) == pytest.approx(sum(totals[n] for n in outermost(tree, "aten::silu")), abs=300)
    page.click("#lenses .chip button")
    settle(page)
    assert root_total(page) == pytest.approx(totals[0], abs=1)
    page.fill("#focus", r"/\.mlp$/")
    page.press("#focus", "Enter")
    settle(page)
    assert chips(page) == [r"Only stacks through /\.mlp$/"]
    inside = [
        n
        for n in range(len(tree))
        if (tree.frame(n).module or "").endswith(".mlp") and tree.frame(n).kind == "module"
    ]
    assert root_total(page) == pytest.approx(sum(totals[n] for n in inside), abs=300)
    assert "of what is in focus" in page.inner_text("#details")


def test_hidden_frames_are_charged_to_their_callers(opened: Callable[..., Any]) -> None:
    tree = llama()
    page = opened(tree)
    page.fill("#hide", "/^aten::/")
    page.press("#hide", "Enter")
    settle(page)
    assert root_total(page) == pytest.approx(tree.totals("wall_ns")[0], abs=1)
    names = page.evaluate(
        "() => { const tree = llmflame.tree(); return [...tree.frameOf].map(at => tree.frames[at].name); }"
    )
    assert not [name for name in names if name.startswith("aten::")]
    select(page, "LlamaMLP")
    press(page, "h")
    assert chips(page) == ["Hidden /^aten::/", "Hidden LlamaMLP"]
    again = view(page)["hide"]
    press(page, "H")
    assert chips(page) == ["Hidden /^aten::/"] and again.startswith(view(page)["hide"])


def test_what_can_not_be_meant_is_said(opened: Callable[..., Any]) -> None:
    page = opened(llama(), "#hide=%2F(%2F&focus=nobody&callers=%3Dzzzz")
    told = page.inner_text("#lenses .trouble")
    assert told == "hide: not a regular expression; focus: no such frame; callers: no such frame"
    assert len(widths(page)) > 20


def test_a_single_step(opened: Callable[..., Any]) -> None:
    tree = known(llama())
    page = opened(tree)
    page.select_option("#part", label="decode step 8")
    settle(page)
    whole = tree.totals("wall_ns@decode.8")[0]
    assert root_total(page, "wall_ns@decode.8") == pytest.approx(whole, abs=1)
    assert widths(page)[child(tree, "decode")] == pytest.approx(widths(page)[0], rel=1e-3)
    assert "decode step 8" in page.inner_text("#table h2") and "of decode step 8" in page.inner_text(
        "#details"
    )
    page.select_option("#metric", "alloc_bytes")
    settle(page)
    assert view(page)["step"] == "" and page.input_value("#part") == "phase:decode"
    page.select_option("#part", label="prefill")
    settle(page)
    assert view(page)["zoom"] == child(tree, "prefill")
    page.select_option("#part", label="Whole run")
    settle(page)
    assert view(page)["zoom"] == 0
    page.go_back()
    settle(page)
    assert view(page)["zoom"] == child(tree, "prefill")


def test_share_of_roofline(opened: Callable[..., Any]) -> None:
    tree = known(llama())
    page = opened(tree)
    page.select_option("#colour", label="Share of roofline")
    settle(page)
    told = page.inner_text("#legend")
    assert "Floor over time" in told and "60 % and more" in told and "no floor known" in told
    swatches = page.evaluate(
        "() => [...document.querySelectorAll('#legend .swatch')].map(item => item.style.background)"
    )
    assert len(set(swatches)) == len(swatches) == 7
    select(page, "aten::mm")
    assert "share of roofline\n10.0\u202f%" in page.inner_text("#details")
    bare = opened(llama())
    assert bare.locator("#colour option[value=roofline]").is_disabled(), "no floor is known"


def test_colours_follow_one_another(opened: Callable[..., Any]) -> None:
    page = opened(known(llama()))
    seen = []
    for _ in range(3):
        press(page, "c")
        seen.append(page.input_value("#colour"))
    assert seen == ["class", "roofline", "kind"]


def test_sixteen_become_one(opened: Callable[..., Any]) -> None:
    tree = llama()
    page = opened(tree)
    page.click("button:text-is('Merge layers')")
    select(page, "LlamaMLP")
    assert "30 merged" in page.inner_text("#details .kind") or "60 merged" in page.inner_text(
        "#details .kind"
    )
    count = page.evaluate(
        "() => [...llmflame.tree().frameOf]"
        ".filter(at => llmflame.tree().frames[at].name === 'LlamaMLP').length"
    )
    assert count == 2, "one in prefill, one in decode"
    page.click("button:text-is('Merge layers')")
    settle(page)
    assert page.inner_text("#details h2") == "LlamaMLP"


def test_a_view_can_be_sent(open_page: Open) -> None:
    tree = known(llama())
    page = open_page(tree, "#step=decode.8&colour=roofline&merge=1&shape=flame&order=heavy")
    page.fill("#hide", "Linear.forward")
    page.press("#hide", "Enter")
    page.fill("#focus", "mlp")
    page.press("#focus", "Enter")
    select(page, "aten::mm")
    press(page, "v", "ArrowUp")
    again = open_page(tree, address(page))
    assert view(again) == view(page)
    assert (
        chips(again)
        == chips(page)
        == ["Callers of aten::mm", "Only stacks through mlp", "Hidden Linear.forward"]
    )
    assert widths(again) == pytest.approx(widths(page))


def test_a_finding_leads_into_the_whole_graph(open_page: Open) -> None:
    finding = {
        "title": "T",
        "gain_s": 1.0,
        "evidence": [],
        "frames": ["decode › model.layers.*.mlp.act_fn › aten::silu"],
    }
    page = open_page(llama(), "#focus=load&callers=%3Dabc", findings=[finding])
    page.click("#changes .link")
    settle(page)
    assert page.inner_text("#details h2") == "aten::silu" and chips(page) == []


def test_help_names_each_key(open_page: Open) -> None:
    page = open_page(llama())
    page.keyboard.press("?")
    keys = set(re.findall(r"\w+", " ".join(page.locator("#help kbd").all_inner_texts())))
    assert {"v", "f", "h", "H", "c", "m", "n", "N", "o", "i", "t"} <= keys
    page.keyboard.press("Escape")
    for key in "vfhHcmoiv":
        press(page, key)
    assert len(widths(page)) > 0


def test_whoever_comes_by_keyboard_sees_where(open_page: Open) -> None:
    page = open_page(known(llama()))
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        place, outline = page.evaluate(
            "() => { const at = document.activeElement; const style = getComputedStyle(at);"
            " return [at.id || at.className || at.textContent, style.outlineStyle]; }"
        )
        if place and page.evaluate("() => document.activeElement !== document.body"):
            seen.add(place)
            assert outline != "none", place
    assert {"metric", "part", "colour", "search", "focus", "hide", "flame-scroller"} <= seen


def test_the_sentence_stands_on_top(open_page: Open) -> None:
    page = open_page(llama(), sentence="42.3 ms a token; <b>the floor</b> is 4 ms.")
    assert page.inner_text("#lead .sentence") == "42.3 ms a token; <b>the floor</b> is 4 ms."
    assert open_page(llama()).locator(".sentence").count() == 0


def test_nothing_of_a_gpu_on_a_cpu(open_page: Open) -> None:
    page = open_page(llama())
    choices = page.locator("#metric option").all_inner_texts()
    assert not [words for words in choices if "GPU" in words or "device" in words.lower()]
    assert page.locator("#limit").is_hidden() and "GPU" not in page.inner_text("#phases")
    assert "GPU" not in page.inner_text("#lead")


@pytest.mark.parametrize("lens", ["v", "f", "h"])
def test_hostile_names_do_nothing_in_a_lens(open_page: Open, lens: str) -> None:
    tree = hostile_tree()
    page = open_page(tree, "#merge=1", sentence=HOSTILE[0])
    for steps in range(len(tree) - 1):
        press(page, "Escape", "ArrowDown", *["ArrowLeft"] * steps, lens)
        assert page.locator("#lenses .chip").count() >= 1
        page.locator("#lenses .chip button").first.click()
        settle(page)
    page.fill("#hide", "<img src=x onerror='window.__pwned = 1'>")
    page.press("#hide", "Enter")
    settle(page)
    assert page.evaluate("() => window.__pwned") is None
    assert page.locator("img").count() == 0


def test_a_frame_that_is_one_of_many_by_name(open_page: Open) -> None:
    """Two frames of one name in two files have callers of their own."""
    tree = Tree(metrics=[metrics.WALL], selfs={"wall_ns": [0.0, 5e6, 3e6]})
    tree.frames = [Frame("run", "run"), Frame("python", "f", "a.py", 1), Frame("python", "f", "b.py", 1)]
    tree.parents, tree.node_frames, tree.origins = [-1, 0, 0], [0, 1, 2], ["measured"] * 3
    page = open_page(tree)
    press(page, "ArrowDown", "v")
    assert root_total(page) == 5e6


@pytest.mark.parametrize("width", [375, 768, 1440])
def test_lenses_stick_out_nowhere(open_page: Open, width: int) -> None:
    page = open_page(
        known(llama()), "#focus=mlp&hide=Linear.forward%0Aaten&merge=1&step=decode.8", width=width
    )
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
